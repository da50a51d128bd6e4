package fsx

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FreeSpace returns how many bytes users other than root can yet write to the file system that holds file, and the folder
// at which that is mounted, as well as the devices of the folders above tell.
func FreeSpace(file string) (free int64, mount string, err error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(file, &stat); err != nil {
		return 0, "", &os.PathError{Op: "statfs", Path: file, Err: err}
	}
	return int64(stat.Bavail) * stat.Bsize, mountPoint(file), nil
}

func mountPoint(file string) string {
	device, ok := deviceOf(file)
	for file != "/" && ok {
		parent := filepath.Dir(file)
		if d, ok := deviceOf(parent); !ok || d != device {
			break
		}
		file = parent
	}
	return file
}

func deviceOf(file string) (uint64, bool) {
	var stat unix.Stat_t
	err := unix.Stat(file, &stat)
	return stat.Dev, err == nil
}
