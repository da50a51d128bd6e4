// Command probe is the program that tests run in a sandbox: a static one that needs no root tree. Each argument is an
// operation with its operands, separated by blanks; they run in order, the first that fails ends it with status 1.
package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	for _, arg := range os.Args[1:] {
		words := strings.Split(os.ExpandEnv(arg), " ")
		operation, ok := operations()[words[0]]
		if !ok {
			fmt.Println("probe: no operation", words[0])
			os.Exit(2)
		}
		if err := operation(words[1:]); err != nil {
			fmt.Printf("%s: %v\n", words[0], err)
			os.Exit(1)
		}
	}
}

func operations() map[string]func([]string) error {
	return map[string]func([]string) error{
		"echo":  func(a []string) error { _, err := fmt.Println(strings.Join(a, " ")); return err },
		"warn":  func(a []string) error { _, err := fmt.Fprintln(os.Stderr, strings.Join(a, " ")); return err },
		"write": func(a []string) error { return os.WriteFile(a[0], []byte(strings.Join(a[1:], " ")), 0o644) },
		"append": func(a []string) error {
			f, err := os.OpenFile(a[0], os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString(a[1])
			return err
		},
		"cat": func(a []string) error {
			b, err := os.ReadFile(a[0])
			os.Stdout.Write(b)
			return err
		},
		"mkdir":       func(a []string) error { return os.Mkdir(a[0], 0o755) },
		"remove":      func(a []string) error { return os.Remove(a[0]) },
		"rename":      func(a []string) error { return os.Rename(a[0], a[1]) },
		"link":        func(a []string) error { return os.Link(a[0], a[1]) },
		"symlink":     func(a []string) error { return os.Symlink(a[0], a[1]) },
		"chmod":       func(a []string) error { return syscall.Chmod(a[0], uint32(number(a[1], 8))) },
		"chdir":       func(a []string) error { return os.Chdir(a[0]) },
		"chroot":      func(a []string) error { return syscall.Chroot(a[0]) },
		"exit":        func(a []string) error { os.Exit(number(a[0], 10)); return nil },
		"kill":        func(a []string) error { return syscall.Kill(pid(a[0]), syscall.Signal(number(a[1], 10))) },
		"list":        list,
		"env":         environment,
		"status":      status,
		"stat":        stat,
		"refuse":      refuse,
		"chown":       chown,
		"raw":         raw,
		"int80":       func(a []string) error { return syscall.Errno(-int80(uint32(number(a[0], 10)), 0, 0, 0)) },
		"dial":        dial,
		"tree":        tree,
		"wait":        wait,
		"stubborn":    stubborn,
		"ignore":      func([]string) error { signal.Ignore(syscall.SIGTERM); return nil },
		"ids":         ids,
		"spawn":       spawn,
		"parallel":    parallel,
		"churn":       churn,
		"descriptors": descriptors,
		"link?":       func(a []string) error { t, err := os.Readlink(a[0]); fmt.Println(t); return err },
		"limits":      limits,
		"umask":       func([]string) error { m := syscall.Umask(0); fmt.Printf("%04o\n", m); return nil },
		"session": func([]string) error {
			sid, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
			fmt.Println(int(sid) == os.Getpid(), errno == 0)
			return nil
		},
		"remount": func(a []string) error { return syscall.Mount("", a[0], "", uintptr(number(a[1], 10)), "") },
		"host":    func([]string) error { h, err := os.Hostname(); fmt.Println(h); return err },
	}
}

func number(s string, base int) int {
	n, err := strconv.ParseInt(s, base, 64)
	if err != nil {
		fmt.Println("probe:", err)
		os.Exit(2)
	}
	return int(n)
}

func pid(s string) int {
	if s == "self" {
		return os.Getpid()
	}
	return number(s, 10)
}

func list(a []string) error {
	entries, err := os.ReadDir(a[0])
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	fmt.Println(strings.Join(names, " "))
	return err
}

func environment([]string) error {
	env := os.Environ()
	sort.Strings(env)
	for _, v := range env {
		fmt.Println(v)
	}
	return nil
}

// status prints lines of /proc/self/status.
func status(a []string) error {
	b, err := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if name, _, _ := strings.Cut(line, ":"); slices.Contains(a, name) {
			fmt.Print(strings.Join(strings.Fields(line), " ") + "\n")
		}
	}
	return err
}

func stat(a []string) error {
	for _, name := range a {
		var s syscall.Stat_t
		if err := syscall.Lstat(name, &s); err != nil {
			return err
		}
		fmt.Printf("%o %d:%d %d %s\n", s.Mode, s.Uid, s.Gid, s.Mtim.Sec, name)
	}
	return nil
}

// refuse runs another operation and succeeds if that fails with the errno: refuse EROFS write /x y.
func refuse(a []string) error {
	err := operations()[a[1]](a[2:])
	if err == nil {
		return fmt.Errorf("%v succeeded", a[1:])
	}
	var errno syscall.Errno
	for e := err; e != nil; {
		if n, ok := e.(syscall.Errno); ok {
			errno = n
			break
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	if want := number(a[0], 10); int(errno) != want {
		return fmt.Errorf("%v: %v (%d), want errno %d", a[1:], err, int(errno), want)
	}
	return nil
}

// chown VARIANT uid gid file: one of the ways to change an owner.
func chown(a []string) error {
	uid, gid, name := uintptr(number(a[1], 10)), uintptr(number(a[2], 10)), ""
	if len(a) > 3 {
		name = a[3]
	}
	const at = ^uintptr(99) // AT_FDCWD
	p, _ := syscall.BytePtrFromString(name)
	path := uintptr(unsafe.Pointer(p))
	call := func(nr uintptr, args ...uintptr) error {
		args = append(args, 0, 0, 0, 0, 0, 0)
		_, _, errno := syscall.Syscall6(nr, args[0], args[1], args[2], args[3], args[4], args[5])
		if errno != 0 {
			return errno
		}
		return nil
	}
	open := func(name string, flags int) uintptr {
		fd, err := syscall.Open(name, flags, 0)
		if err != nil {
			fmt.Println("probe: open", name, err)
			os.Exit(2)
		}
		return uintptr(fd)
	}
	empty, _ := syscall.BytePtrFromString("")
	const oPath = 0x200000
	switch a[0] {
	case "chown":
		return call(syscall.SYS_CHOWN, path, uid, gid)
	case "lchown":
		return call(syscall.SYS_LCHOWN, path, uid, gid)
	case "fchown":
		return call(syscall.SYS_FCHOWN, open(name, syscall.O_RDONLY), uid, gid)
	case "fchown-path":
		return call(syscall.SYS_FCHOWN, open(name, oPath), uid, gid)
	case "fchown-bad":
		return call(syscall.SYS_FCHOWN, 999, uid, gid)
	case "fchown-negative":
		return call(syscall.SYS_FCHOWN, at, uid, gid)
	case "at":
		return call(syscall.SYS_FCHOWNAT, at, path, uid, gid, 0)
	case "at-nofollow":
		return call(syscall.SYS_FCHOWNAT, at, path, uid, gid, 0x100)
	case "at-flags":
		return call(syscall.SYS_FCHOWNAT, at, path, uid, gid, 0x8000)
	case "at-dir": // the folder is opened, the last part given
		dir := open(filepath.Dir(name), oPath|syscall.O_DIRECTORY)
		b, _ := syscall.BytePtrFromString(filepath.Base(name))
		return call(syscall.SYS_FCHOWNAT, dir, uintptr(unsafe.Pointer(b)), uid, gid, 0x100)
	case "at-bad":
		return call(syscall.SYS_FCHOWNAT, 999, path, uid, gid, 0)
	case "at-empty":
		return call(syscall.SYS_FCHOWNAT, open(name, oPath|syscall.O_NOFOLLOW), uintptr(unsafe.Pointer(empty)), uid, gid, 0x1000)
	case "at-empty-cwd":
		return call(syscall.SYS_FCHOWNAT, at, uintptr(unsafe.Pointer(empty)), uid, gid, 0x1000)
	case "empty":
		return call(syscall.SYS_CHOWN, uintptr(unsafe.Pointer(empty)), uid, gid)
	case "fault":
		return call(syscall.SYS_CHOWN, 8, uid, gid)
	case "page-end": // the path ends at the last byte of mapped memory
		page := mapPages()
		at := uintptr(unsafe.Pointer(&page[4096-len(name)-1]))
		copy(page[4096-len(name)-1:4096], append([]byte(name), 0))
		return call(syscall.SYS_CHOWN, at, uid, gid)
	case "page-fault": // the path has no end before that
		page := mapPages()
		copy(page[4096-len(name):4096], name)
		return call(syscall.SYS_CHOWN, uintptr(unsafe.Pointer(&page[4096-len(name)])), uid, gid)
	case "proc-self":
		fd := open(name, syscall.O_RDONLY)
		b, _ := syscall.BytePtrFromString("/proc/self/fd/" + strconv.Itoa(int(fd)))
		return call(syscall.SYS_CHOWN, uintptr(unsafe.Pointer(b)), uid, gid)
	case "dev-fd":
		fd := open(name, syscall.O_RDONLY)
		b, _ := syscall.BytePtrFromString("/dev/fd/" + strconv.Itoa(int(fd)))
		return call(syscall.SYS_CHOWN, uintptr(unsafe.Pointer(b)), uid, gid)
	case "proc-thread":
		fd := open(name, syscall.O_RDONLY)
		b, _ := syscall.BytePtrFromString("/proc/thread-self/fd/" + strconv.Itoa(int(fd)))
		return call(syscall.SYS_CHOWN, uintptr(unsafe.Pointer(b)), uid, gid)
	}
	return fmt.Errorf("no variant %s", a[0])
}

func int80(number, a, b, c uint32) int32

// mapPages maps two pages and takes away the second.
func mapPages() []byte {
	b, err := syscall.Mmap(-1, 0, 8192, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err == nil {
		err = syscall.Mprotect(b[4096:], syscall.PROT_NONE)
	}
	if err != nil {
		fmt.Println("probe:", err)
		os.Exit(2)
	}
	return b
}

// raw NUMBER args...: a system call with numbers as arguments.
func raw(a []string) error {
	var args [7]uintptr
	for i, s := range a {
		args[i] = uintptr(number(s, 0))
	}
	_, _, errno := syscall.Syscall6(args[0], args[1], args[2], args[3], args[4], args[5], args[6])
	if errno != 0 {
		return errno
	}
	return nil
}

// dial lists network interfaces, talks to itself over the loopback, and fails to reach anything else.
func dial([]string) error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range interfaces {
		fmt.Println(i.Name, i.Flags&net.FlagUp != 0)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := net.Dial("tcp", listener.Addr().String()); err != nil {
		return err
	}
	_, err = net.DialTimeout("tcp", "192.0.2.1:80", time.Second)
	fmt.Println(err)
	return nil
}

// tree prints every file below a folder but what is in /proc and /dev.
func tree(a []string) error {
	return filepath.WalkDir(a[0], func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fmt.Println(name)
		if name == "/proc" || name == "/dev" {
			return filepath.SkipDir
		}
		return nil
	})
}

// stubborn ignores SIGTERM.
func stubborn([]string) error {
	signal.Ignore(syscall.SIGTERM)
	fmt.Println("ready")
	return wait(nil)
}

func wait([]string) error {
	for {
		if err := syscall.Pause(); err != syscall.EINTR {
			return err
		}
	}
}

// descriptors prints the open descriptors but those of the runtime itself and the one that lists them.
func descriptors([]string) error {
	const folder = "/proc/self/fd"
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		target, err := os.Readlink(folder + "/" + e.Name())
		if err == nil && !strings.HasPrefix(target, "anon_inode:") {
			fmt.Print(e.Name(), " ")
		}
	}
	fmt.Println()
	return err
}

func ids([]string) error {
	fmt.Printf("%d:%d %d:%d\n", os.Getuid(), os.Getgid(), os.Geteuid(), os.Getegid())
	return nil
}

// spawn runs the rest in a child that it does not wait for.
func spawn(a []string) error {
	cmd := exec.Command(os.Args[0], strings.Join(a, " "))
	cmd.Stdout = os.Stdout
	return cmd.Start()
}

// parallel N K folder: N processes give K files each in the folder an owner of their own.
func parallel(a []string) error {
	var running []*exec.Cmd
	for i := range number(a[0], 10) {
		cmd := exec.Command(os.Args[0], fmt.Sprintf("churn %d %s %s", i+1, a[1], a[2]))
		cmd.Stdout = os.Stdout
		if err := cmd.Start(); err != nil {
			return err
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// churn ID K folder: makes K files that belong to ID, each after one that is deleted again and belonged to somebody else.
func churn(a []string) error {
	id := number(a[0], 10)
	for i := range number(a[1], 10) {
		name := fmt.Sprintf("%s/%d-%d", a[2], id, i)
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			return err
		}
		if err := os.Chown(name, 4000, 4000); err != nil {
			return err
		}
		if err := os.Remove(name); err != nil {
			return err
		}
		if err := os.WriteFile(name, bytes.Repeat([]byte("x"), i), 0o644); err != nil {
			return err
		}
		if i%2 == 0 {
			if err := os.Chown(name, id, -1); err != nil {
				return err
			}
		}
	}
	return nil
}

func limits([]string) error {
	for _, resource := range []int{syscall.RLIMIT_CORE, syscall.RLIMIT_NOFILE, syscall.RLIMIT_STACK} {
		var l syscall.Rlimit
		// The runtime has raised the soft limit of descriptors for itself, so only the hard one shows what was given.
		if err := syscall.Getrlimit(resource, &l); err != nil {
			return err
		}
		if resource == syscall.RLIMIT_STACK {
			fmt.Println(l.Cur)
		} else {
			fmt.Println(l.Max)
		}
	}
	return nil
}
