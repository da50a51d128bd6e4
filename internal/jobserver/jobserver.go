// Package jobserver is a client of GNU make's jobserver, through which all processes below one make share its jobs.
//
// # Protocol
//
// make puts a byte, a token, into a pipe for each job it may run but one, and tells of the pipe in the variable
// MAKEFLAGS. Every process below it has leave for one job by being there. For each further one it reads a byte, and
// writes the same byte back when the job has ended. See "POSIX Jobserver Interaction" in make's manual.
package jobserver

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Client is a connection to a jobserver. It is safe for concurrent use.
type Client struct{ pipe int }

// Open connects to the jobserver that the value of MAKEFLAGS tells of. It returns nil when there is none, or none in reach:
// make before 4.4 keeps its pipe from recipes that don't begin with "+" or have $(MAKE) in them.
//
// Call it before the process opens files of its own: the numbers of descriptors in MAKEFLAGS could be theirs then.
func Open(makeflags string) *Client {
	name, ok := pipeName(makeflags)
	if !ok {
		return nil
	}
	// The pipe is opened anew, as the mode of a description that make has, too, is make's to set.
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil || info.Mode&unix.S_IFMT != unix.S_IFIFO {
		_ = unix.Close(fd)
		return nil
	}
	return &Client{fd}
}

// pipeName returns where the pipe is that MAKEFLAGS tells of. The last mention counts.
func pipeName(makeflags string) (name string, ok bool) {
	for _, word := range strings.Fields(makeflags) {
		if word == "--" { // Variables follow.
			break
		}
		auth, isAuth := strings.CutPrefix(word, "--jobserver-auth=")
		if !isAuth {
			auth, isAuth = strings.CutPrefix(word, "--jobserver-fds=") // before make 4.2
		}
		if isAuth {
			name, ok = pipeOf(auth)
		}
	}
	return name, ok
}

// pipeOf returns the pipe of "fifo:PATH" or "READ,WRITE", the descriptors of a pipe's ends.
func pipeOf(auth string) (name string, ok bool) {
	if path, isPath := strings.CutPrefix(auth, "fifo:"); isPath {
		return path, true
	}
	read, write, _ := strings.Cut(auth, ",")
	r, errRead := strconv.ParseUint(read, 10, 31)
	w, errWrite := strconv.ParseUint(write, 10, 31)
	if errRead != nil || errWrite != nil || !samePipe(int(r), int(w)) {
		return "", false
	}
	return fmt.Sprintf("/proc/self/fd/%d", r), true
}

// samePipe reports whether two descriptors are the ends of one pipe, and keeps them from the programs that this process
// starts: these have no part in the jobs.
func samePipe(r, w int) bool {
	var ofR, ofW unix.Stat_t
	if unix.Fstat(r, &ofR) != nil || unix.Fstat(w, &ofW) != nil ||
		ofR.Mode&unix.S_IFMT != unix.S_IFIFO || ofR.Dev != ofW.Dev || ofR.Ino != ofW.Ino {
		return false
	}
	unix.CloseOnExec(r)
	unix.CloseOnExec(w)
	return true
}

// TryAcquire takes a token if there is one now.
func (c *Client) TryAcquire() (token byte, ok bool) {
	var b [1]byte
	for {
		n, err := unix.Read(c.pipe, b[:])
		if !errors.Is(err, unix.EINTR) {
			return b[0], n == 1 && err == nil
		}
	}
}

// Release gives a token back.
func (c *Client) Release(token byte) error {
	for {
		_, err := unix.Write(c.pipe, []byte{token})
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("give a token back to make's jobserver: write", err)
		}
	}
}

// Close ends the connection. Tokens must have been given back before.
func (c *Client) Close() error { return unix.Close(c.pipe) }
