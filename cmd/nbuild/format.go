package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"nbuild/config"
	"nbuild/config/layout"
	"nbuild/internal/fsx"
)

func formatCommand() command {
	return command{
		name: "fmt", args: "[FILE...]",
		summary: "lay out Starlark files in the usual way",
		details: `Without FILE, all *.star below the project's folder, but for what is below folders whose names begin with
a dot. A FILE that is a folder stands for those below it. Only the layout is changed, never an order.
--check changes nothing; it lists the files that would be changed, and the exit code is 1 if there are any.`,
		examples: []string{"nbuild fmt", "nbuild fmt --check", "nbuild fmt web.star"},
		flags: func(flags *pflag.FlagSet, o *options) {
			flags.BoolVar(&o.check, "check", false, "list what would be changed, and change nothing")
		},
		run: func(_ context.Context, o *options, args []string) error { return formatFiles(o, args) },
	}
}

// formatFiles lays out all files that it can: one that is wrong doesn't keep the others from it.
func formatFiles(o *options, args []string) error {
	files, err := starlarkFiles(o.directory, args)
	if err != nil {
		return err
	}
	changed := 0
	var faults []error
	for _, name := range files {
		done, err := formatFile(o, name)
		if err != nil {
			faults = append(faults, err)
		}
		if done {
			changed++
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if o.check && changed > 0 {
		return fmt.Errorf("fmt: %d of %d files would be changed", changed, len(files))
	}
	return nil
}

// formatFile lays out one file and reports whether that changes it.
func formatFile(o *options, name string) (changed bool, err error) {
	file, err := filepath.EvalSymlinks(inDirectory(o, name))
	if err != nil {
		return false, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	formatted, err := layout.Format(name, text)
	if err != nil || bytes.Equal(text, formatted) {
		return false, err
	}
	if o.check {
		fmt.Fprintln(o.stdout, name)
		return true, nil
	}
	info, err := os.Stat(file)
	if err == nil && info.Mode().Perm()&0o200 == 0 {
		err = fmt.Errorf("lay out %s: the file is read-only", name)
	}
	if err == nil {
		err = fsx.WriteFileDurably(file, formatted, info.Mode().Perm())
	}
	if err != nil {
		return false, err
	}
	if !o.quiet {
		fmt.Fprintf(o.stderr, "nbuild: laid out %s\n", name)
	}
	return true, nil
}

// inDirectory returns a file that the user named as seen from where this process is.
func inDirectory(o *options, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(o.directory, name)
}

// starlarkFiles returns the files that args mean, sorted below each argument.
func starlarkFiles(directory string, args []string) ([]string, error) {
	if len(args) == 0 {
		// A whole home folder is easily meant by mistake, and a project never.
		if project, err := hasProject(directory); err != nil || !project {
			return nil, errors.Join(usagef("nbuild fmt FILE", "fmt: there is no %s here", config.DefaultFile), err)
		}
		args = []string{"."}
	}
	var files []string
	var faults []error
	for _, arg := range args {
		top := inDirectory(&options{directory: directory}, arg)
		err := filepath.WalkDir(top, func(file string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir():
				if file != top && strings.HasPrefix(entry.Name(), ".") {
					return filepath.SkipDir
				}
			case file == top:
				files = append(files, arg)
			case strings.HasSuffix(file, ".star") && entry.Type().IsRegular():
				files = append(files, filepath.Join(arg, strings.TrimPrefix(file, top)))
			}
			return nil
		})
		if errors.Is(err, fs.ErrNotExist) {
			err = usagef("", "fmt: there is no %s", arg)
		}
		faults = append(faults, err)
	}
	return files, errors.Join(faults...)
}
