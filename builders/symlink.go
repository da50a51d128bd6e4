package builders

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// Symlink makes a symbolic link whose target is its first argument. The zero value is ready to use.
type Symlink struct{}

// Build implements Builder.
func (Symlink) Build(_ context.Context, r *Request) error {
	args := r.Action.Args()
	if len(args) != 1 {
		return r.Failf("symlink: want 1 argument, the target, got %d", len(args))
	}
	if err := checkTarget(args[0]); err != nil {
		return r.Failf("symlink: %v", err)
	}
	out, err := r.output("out")
	if err != nil {
		return err
	}
	if err := os.Symlink(args[0], out); err != nil {
		return fmt.Errorf("create symlink: %w", err)
	}
	return nil
}

// maxTarget is the longest target of a link that Linux can follow: PATH_MAX less the zero byte.
const maxTarget = 4095

// checkTarget reports why a link can't have a target.
func checkTarget(target string) error {
	switch {
	case target == "":
		return refusef("the link's target is empty")
	case len(target) > maxTarget:
		return refusef("the link's target is longer than %d bytes", maxTarget)
	case strings.Contains(target, "\x00"):
		return refusef("the link's target has a zero byte")
	}
	return nil
}
