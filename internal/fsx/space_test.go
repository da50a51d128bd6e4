package fsx

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

func TestFreeSpace(t *testing.T) {
	mounts := map[string]bool{}
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		mounts[strings.Fields(line)[1]] = true
	}
	for _, file := range []string{"/proc/self/mounts", "/", t.TempDir()} {
		_, mount, err := FreeSpace(file)
		if err != nil || !mounts[mount] || !strings.HasPrefix(file, mount) {
			t.Errorf("FreeSpace(%s): mount %s, %v; that is no mount point", file, mount, err)
		}
	}
	if _, mount, _ := FreeSpace("/proc/self/mounts"); mount != "/proc" {
		t.Errorf("/proc/self/mounts is on %s, want /proc", mount)
	}
	if _, _, err := FreeSpace("/nowhere"); !os.IsNotExist(err) {
		t.Errorf("FreeSpace of what isn't there: %v", err)
	}
}

// TestFreeSpaceIsDfs compares with another program; others may write meanwhile, so a tenth of difference is allowed.
func TestFreeSpaceIsDfs(t *testing.T) {
	dir := t.TempDir()
	out, err := exec.Command("df", "--output=avail", "-B1", dir).Output()
	if err != nil {
		t.Skipf("no df: %v", err)
	}
	want, err := strconv.ParseInt(strings.Fields(string(out))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	free, _, err := FreeSpace(dir)
	if err != nil || free < want-want/10 || free > want+want/10 {
		t.Errorf("FreeSpace = %d, %v; df says %d", free, err, want)
	}
}
