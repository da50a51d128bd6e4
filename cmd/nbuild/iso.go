package main

import "context"

func isoCommand() command {
	return command{
		name: "iso", args: "[NAME]",
		summary: "build an ISO from which a system starts",
		details: `Afterwards result/iso/NAME.iso is the image of a CD, and of a disk: BIOS and UEFI start it either way. NAME is the
system's; it may be left out when the project has one system. The system's options iso.* say what is on it.`,
		examples: []string{"nbuild iso", "nbuild iso web && dd if=result/iso/web.iso of=/dev/sdX bs=4M"},
		flags:    linkFlags,
		run: func(ctx context.Context, o *options, args []string) error {
			name, err := systemTarget("iso", args)
			if err != nil {
				return err
			}
			return withWorkspace(ctx, o, func(w *workspace) error {
				_, err := w.buildAndLink(ctx, []string{name})
				return err
			})
		},
	}
}
