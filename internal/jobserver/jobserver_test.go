package jobserver

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestPipeName(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	other, otherEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	defer otherEnd.Close()
	fds := func(r, w *os.File) string { return fmt.Sprintf("%d,%d", r.Fd(), w.Fd()) }
	pipe := fmt.Sprintf("/proc/self/fd/%d", r.Fd())
	for _, test := range []struct{ makeflags, want string }{
		{"", ""},
		{"kw -j", ""},
		{"--jobserver-auth=fifo:/tmp/GMfifo12", "/tmp/GMfifo12"},
		{"k -j8 --jobserver-auth=fifo:/tmp/GMfifo12 --no-print-directory", "/tmp/GMfifo12"},
		{" -j4 --jobserver-auth=" + fds(r, w), pipe},
		{" -j4 --jobserver-fds=" + fds(r, w), pipe},
		{" -j4 --jobserver-auth=" + fds(r, otherEnd), ""},
		{" -j4 --jobserver-auth=-2,-2", ""},
		{" -j4 --jobserver-auth=7000,7001", ""},
		{" -j4 --jobserver-auth=3", ""},
		{" -j4 --jobserver-auth=" + fds(r, w) + " --jobserver-auth=-2,-2", ""},
		{"--jobserver-auth=fifo:/a --jobserver-auth=fifo:/b", "/b"},
		{"k -- X=--jobserver-auth=fifo:/a --jobserver-auth=fifo:/b", ""},
	} {
		got, ok := pipeName(test.makeflags)
		if got != test.want || ok != (got != "") {
			t.Errorf("pipeName(%q) = %q, %v, want %q", test.makeflags, got, ok, test.want)
		}
	}
}

func TestTokens(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, test := range []struct {
		makeflags    string
		read, writes *os.File
	}{
		{"--jobserver-auth=fifo:" + fifo, server, server},
		{fmt.Sprintf("-j3 --jobserver-auth=%d,%d", r.Fd(), w.Fd()), r, w},
	} {
		c := Open(test.makeflags)
		if c == nil {
			t.Fatalf("Open(%q) = nil", test.makeflags)
		}
		if token, ok := c.TryAcquire(); ok {
			t.Errorf("%s: got a token %q that isn't there", test.makeflags, token)
		}
		if _, err := test.writes.WriteString("+-"); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for {
			token, ok := c.TryAcquire()
			if !ok {
				break
			}
			got = append(got, token)
		}
		if diff := cmp.Diff("+-", string(got)); diff != "" {
			t.Errorf("%s: tokens (-want +got):\n%s", test.makeflags, diff)
		}
		for _, token := range got {
			if err := c.Release(token); err != nil {
				t.Error(err)
			}
		}
		back := make([]byte, 2)
		if n, err := test.read.Read(back); err != nil || string(back[:n]) != "+-" {
			t.Errorf("%s: the server got %q back, %v", test.makeflags, back[:n], err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, makeflags := range []string{"", "--jobserver-auth=fifo:" + file, "--jobserver-auth=fifo:" + file + "2"} {
		if c := Open(makeflags); c != nil {
			t.Errorf("Open(%q) is a connection, want none", makeflags)
		}
	}
}
