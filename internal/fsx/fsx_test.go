package fsx

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func write(t *testing.T, file, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// list returns path → mode and content or target of all below dir.
func list(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch entry.Type() {
		case fs.ModeSymlink:
			target, err := os.Readlink(name)
			found[name[len(dir)+1:]] = "-> " + target
			return err
		case 0:
			content, err := os.ReadFile(name)
			found[name[len(dir)+1:]] = text + " " + string(content)
			return err
		}
		found[name[len(dir)+1:]] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRemoveAllOfReadOnlyFolders(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a/b/c/file", "", 0o444)
	write(t, dir+"/a/file", "", 0o444)
	write(t, dir+"/outside/file", "", 0o644)
	if err := os.Symlink("../outside", dir+"/a/link"); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"/a/b/c", "/a/b", "/a"} {
		if err := os.Chmod(dir+folder, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveAll(dir + "/a"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"outside": "drwxr-xr-x", "outside/file": "-rw-r--r-- "}
	if diff := cmp.Diff(want, list(t, dir)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	if err := RemoveAll(dir + "/none"); err != nil {
		t.Errorf("removing nothing: %v", err)
	}
}

func TestRenameNew(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a", "a", 0o644)
	write(t, dir+"/b", "b", 0o644)
	if err := RenameNew(dir+"/a", dir+"/b"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto a file: got error %v, want one that matches fs.ErrExist", err)
	}
	if err := RenameNew(dir+"/a", dir+"/c"); err != nil {
		t.Error(err)
	}
	if err := RenameNew(dir+"/a", dir+"/d"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: got error %v, want one that matches fs.ErrNotExist", err)
	}
	if diff := cmp.Diff(map[string]string{"b": "-rw-r--r-- b", "c": "-rw-r--r-- a"}, list(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestReplaceSymlink(t *testing.T) {
	dir := t.TempDir()
	for _, target := range []string{"first", "second"} {
		if err := ReplaceSymlink(target, dir+"/link"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"link": "-> " + target}, list(t, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	}
	write(t, dir+"/folder/file", "", 0o644)
	if err := ReplaceSymlink("third", dir+"/folder"); err == nil {
		t.Error("a folder was replaced")
	}
	if got := list(t, dir); len(got) != 3 {
		t.Errorf("something was left behind: %v", got)
	}
}

func TestCopy(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/from/bin/run", "run", 0o755)
	write(t, dir+"/from/doc", "doc", 0o444)
	write(t, dir+"/from/large", strings.Repeat("x", 1<<20), 0o640)
	if err := os.Symlink("bin/run", dir+"/from/link"); err != nil {
		t.Fatal(err)
	}
	if err := Copy(dir+"/from", dir+"/to"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"bin": "drwx------", "bin/run": "-rwx------ run", "doc": "-rw------- doc",
		"large": "-rw------- " + strings.Repeat("x", 1<<20), "link": "-> bin/run",
	}
	if diff := cmp.Diff(want, list(t, dir+"/to")); diff != "" {
		t.Errorf("copy (-want +got):\n%s", diff)
	}
	if err := Copy(dir+"/from", dir+"/to"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto something: got error %v, want one that matches fs.ErrExist", err)
	}
}

func TestCopyRefusesOtherKinds(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Copy(dir+"/pipe", dir+"/to"); err == nil {
		t.Error("a pipe was copied")
	}
}

func TestSyncFileSystem(t *testing.T) {
	if err := SyncFileSystem(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := SyncFileSystem("/nonexistent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v, want one that matches fs.ErrNotExist", err)
	}
}

func TestWriteFile(t *testing.T) {
	writers := map[string]func(string, []byte, fs.FileMode) error{"plain": WriteFile, "durable": WriteFileDurably}
	for name, writeFile := range writers {
		dir := t.TempDir()
		write(t, dir+"/old", "old content", 0o600)
		for _, file := range []string{"old", "new"} {
			if err := writeFile(dir+"/"+file, []byte("content"), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]string{"old": "-rw-r----- content", "new": "-rw-r----- content"}
		if diff := cmp.Diff(want, list(t, dir)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		// What can't be replaced stays, and nothing else is left.
		write(t, dir+"/folder/file", "", 0o644)
		if err := writeFile(dir+"/folder", nil, 0o644); err == nil {
			t.Errorf("%s: a folder was replaced", name)
		}
		if left := list(t, dir); len(left) != 4 {
			t.Errorf("%s: it left %v", name, left)
		}
	}
}

func TestStartFlush(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/below/image", strings.Repeat("x", 1<<20), 0o444)
	if dirtyPages(t, dir+"/below/image") == 0 {
		t.Skip("NOT TESTED: that a flush is started, because the folder for tests is in memory or written at once")
	}
	if err := os.Symlink("below/image", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	StartFlush(dir + "/link")
	StartFlush(dir + "/nowhere")
	if dirtyPages(t, dir+"/below/image") == 0 {
		t.Error("a symlink was followed")
	}
	StartFlush(dir)
	if n := dirtyPages(t, dir+"/below/image"); n != 0 {
		t.Errorf("%d pages wait for the kernel to write them", n)
	}
}

// dirtyPages returns how many pages of a file in memory nobody has begun to write to the disk.
func dirtyPages(t *testing.T, file string) uint64 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stat unix.Cachestat_t
	if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Len: 1 << 20}, &stat, 0); errors.Is(err, unix.ENOSYS) {
		t.Skip("NOT TESTED: that a flush is started, because this kernel does not tell")
	} else if err != nil {
		t.Fatal(err)
	}
	return stat.Dirty
}
