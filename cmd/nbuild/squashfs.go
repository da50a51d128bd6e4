package main

import "context"

func squashfsCommand() command {
	return command{
		name: "squashfs", args: "[NAME]",
		summary: "build an image of a system's closure",
		details: `The image has the system and all that it refers to at nbuild/store, and what "nbuild store import" must know of
them. NAME is the system's; it may be left out when the project has one system. The system's options squashfs.* say
how the image is compressed.`,
		examples: []string{"nbuild squashfs", "nbuild squashfs web -o web.squashfs"},
		flags:    linkFlags,
		run: func(ctx context.Context, o *options, args []string) error {
			name, err := systemTarget("squashfs", args)
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
