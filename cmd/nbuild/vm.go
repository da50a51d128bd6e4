package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"nbuild/internal/storepath"
	"nbuild/store"
)

func vmCommand() command {
	return command{
		name: "vm", args: "[NAME] [--run] [-- ARGUMENTS]",
		summary: "build a virtual machine of a system",
		details: `Afterwards ./result/bin/run-<host>-vm starts it; --run does that at once. NAME is the system's; it may be
left out when the project has one system. The machine's disk is ./<host>.qcow2, made when it is missing.
Ctrl-A X, or poweroff in the guest, ends it. What stands after -- is for that program: --help lists its own
options, such as --ephemeral, and all else goes to QEMU.`,
		examples: []string{"nbuild vm", "nbuild vm --run", "nbuild vm --run -- --ephemeral -m 2048", "nbuild vm web && QEMU_NET_OPTS=hostfwd=tcp:127.0.0.1:2222-:22 ./result/bin/run-web-vm"},
		flags: func(flags *pflag.FlagSet, o *options) {
			linkFlags(flags, o)
			flags.BoolVar(&o.bootloader, "bootloader", false, "start it by firmware and a boot loader, as hardware is: NAME.vm_with_bootloader")
			flags.BoolVar(&o.run, "run", false, "start the machine when it is built")
		},
		dash: true,
		run:  runVM,
	}
}

func runVM(ctx context.Context, o *options, args []string) error {
	var guest []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, guest = args[:i], args[i+1:]
	}
	if len(guest) > 0 && !o.run {
		return usagef(strings.Join(slices.Concat([]string{"nbuild vm"}, args, []string{"--run --"}, guest), " "), "vm: arguments for the machine make sense with --run only")
	}
	name, err := artefact("vm", args)
	if err != nil {
		return err
	}
	if o.bootloader {
		name += "_with_bootloader"
	}
	var runner string
	var lease *store.Lease // lest the machine is garbage before it holds itself
	err = withWorkspace(ctx, o, func(w *workspace) error {
		paths, err := w.buildAndLink(ctx, []string{name})
		if err != nil || !o.run {
			return err
		}
		if runner, err = w.runner(paths[0]); err != nil {
			return err
		}
		lease, err = w.store.Hold(ctx, paths[0])
		return err
	})
	if err != nil || runner == "" {
		return err
	}
	if err = lease.Bequeath(); err == nil {
		err = startVM(o, runner, guest)
	}
	return errors.Join(err, lease.Close())
}

// runner returns the one program in a virtual machine's bin folder.
func (w *workspace) runner(vm storepath.Path) (string, error) {
	found, err := filepath.Glob(filepath.Join(w.store.ObjectFile(vm), "bin", "run-*-vm"))
	if err == nil && len(found) != 1 {
		err = errors.New("want one program bin/run-<host>-vm in " + string(vm))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

// startVM becomes the runner. Nothing of nbuild is open any more: a running machine needs the store alone.
func startVM(o *options, runner string, args []string) error {
	if o.directory != "" {
		if err := os.Chdir(o.directory); err != nil {
			return err
		}
	}
	return syscall.Exec(runner, append([]string{runner}, args...), os.Environ())
}
