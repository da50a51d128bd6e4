package main

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"nbuild/store"
)

// gc must wait for another nbuild and say so, and others for it.
func TestCollectWaitsForOthers(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stderr, write := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run([]string{"store", "gc", "--store", dir}, io.Discard, write)
		_ = write.Close() // It can't fail.
	}()
	lines := bufio.NewReader(stderr)
	line, err := lines.ReadString('\n')
	if want := "nbuild: waiting until no other nbuild uses the store\n"; err != nil || line != want {
		t.Errorf("it says %q, %v; want %q", line, err, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	line, err = lines.ReadString('\n')
	if want := "nbuild: 0 removed, 0 kept, 0 B freed in "; err != nil || !strings.HasPrefix(line, want) {
		t.Errorf("then it says %q, %v; want %q", line, err, want)
	}
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
}
