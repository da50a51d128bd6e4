package main

import (
	"io/fs"
	"os"
	"path/filepath"
)

// makeDeletable makes all folders below dir writable, as far as they exist.
func makeDeletable(dir string) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			_ = os.Chmod(path, 0o755) // What stays undeletable is found by who deletes it.
		}
		return nil
	})
}
