package main

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A kernel's command line has at most 2047 bytes; what is more is cut off without a word.
func TestCommandLineByHand(t *testing.T) {
	m := machine{system: "/objects/" + strings.Repeat("x", 32) + "-system-demo"}
	command := m.byHand(22)
	line := "console=ttyS0 nbuild.store=virtiofs nbuild.system=/nbuild/store/" + command[len(command)-4] + " nbuild.disk=serial:nbuild " + command[len(command)-1]
	if len(line) > 2047 {
		t.Errorf("it has %d bytes: %s", len(line), line)
	}
}

func TestGreets(t *testing.T) {
	for _, test := range []struct {
		greeting string
		want     bool
	}{{"SSH-2.0-test\r\n", true}, {"HTTP/1.1 400\r\n", false}, {"", false}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if conn, err := l.Accept(); err == nil {
				_, _ = conn.Write([]byte(test.greeting)) // What didn't arrive fails the test.
				conn.Close()
			}
		}()
		if got := greets(l.Addr().(*net.TCPAddr).Port); got != test.want {
			t.Errorf("a server that says %q greets: %v, want %v", test.greeting, got, test.want)
		}
		l.Close()
	}
	if port, err := freePort(); err != nil || greets(port) {
		t.Errorf("nobody greets: %v", err)
	}
}

func TestMeasureUntilReady(t *testing.T) {
	var looks atomic.Int32
	third := func() bool { return looks.Add(1)%3 == 0 }
	results, err := measure(t.Context(), 2, []*contender{{name: "a", command: []string{"sh", "-c", "sleep 600 & wait"}, ready: third}})
	if err != nil {
		t.Fatal(err)
	}
	if looks.Load() < 4 || len(results[0].times) != 2 || results[0].times[0] > time.Minute {
		t.Errorf("%d looks, times %v", looks.Load(), results[0].times)
	}
	never := func() bool { return false }
	_, err = measure(t.Context(), 1, []*contender{{name: "a", command: []string{"sh", "-c", "exit 3"}, ready: never}})
	if err == nil || !strings.Contains(err.Error(), "it ended before it was ready") {
		t.Errorf("a command that ends too early: %v", err)
	}
}
