package builders

import (
	"context"
	"os"
)

// Text makes a file of its first argument. The variable "executable"="1" makes it executable.
// The zero value is ready to use.
type Text struct{}

// Build implements Builder.
func (Text) Build(_ context.Context, r *Request) error {
	args := r.Action.Args()
	if len(args) != 1 {
		return r.Failf("text: want 1 argument, the content, got %d", len(args))
	}
	executable, err := r.flag("executable")
	if err != nil {
		return err
	}
	out, err := r.output("out")
	if err != nil {
		return err
	}
	return writeNewFile(out, []byte(args[0]), executable)
}

// writeNewFile makes a file, mode 0755 or 0644 whatever the umask. Errors name the file.
func writeNewFile(file string, content []byte, executable bool) error {
	f, err := createNewFile(file, executable)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func createNewFile(file string, executable bool) (*os.File, error) {
	mode := os.FileMode(fileMode(executable))
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// output returns where to make an output.
func (r *Request) output(name string) (string, error) {
	out, ok := r.Outputs[name]
	if !ok {
		return "", r.Failf("%s: the derivation has no output %q", r.Action.Builder(), name)
	}
	return out.File, nil
}

// input returns where the object in a slot lies.
func (r *Request) input(slot string) (string, error) {
	in, ok := r.Inputs[slot]
	if !ok {
		return "", r.Failf("%s: the derivation has no input %q", r.Action.Builder(), slot)
	}
	return in.File, nil
}

// flag returns whether a variable is "1"; "0", "" and none at all mean no.
func (r *Request) flag(name string) (bool, error) {
	switch v := r.Action.Env()[name]; v {
	case "1":
		return true, nil
	case "", "0":
		return false, nil
	default:
		return false, r.Failf("%s: %s is %q, want 1 or 0", r.Action.Builder(), name, v)
	}
}
