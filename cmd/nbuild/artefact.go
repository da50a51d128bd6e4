package main

import "context"

func systemCommand() command {
	return artefactCommand(command{
		name: "system", summary: "build a system's closure",
		details:  "NAME is the system's; it may be left out when the project has one system.",
		examples: []string{"nbuild system", "nbuild system web -o web-system"},
	})
}

func squashfsCommand() command {
	return artefactCommand(command{
		name: "squashfs", summary: "build an image of a system's closure",
		details: `The image has the system and all that it refers to at nbuild/store, and what "nbuild store import" must know of
them. NAME is the system's, or that of what the function squashfs() makes; it may be left out when the project has one
system. The system's options squashfs.* say how its image is compressed.`,
		examples: []string{"nbuild squashfs", "nbuild squashfs web -o web.squashfs"},
	})
}

func isoCommand() command {
	return artefactCommand(command{
		name: "iso", summary: "build an ISO from which a system starts",
		details: `Afterwards result/iso/NAME.iso is the image of a CD, and of a disk: BIOS and UEFI start it either way. NAME is the
system's, or that of what the function iso() makes; it may be left out when the project has one system. The system's
options iso.* say what is on its image.`,
		examples: []string{"nbuild iso", "nbuild iso web && dd if=result/iso/web.iso of=/dev/sdX bs=4M"},
	})
}

func themeCommand() command {
	return artefactCommand(command{
		name: "theme", summary: "build a boot theme",
		details: `A theme is what the function theme() of a project makes, with everything that it names checked. NAME may be left out
when the project has one theme.`,
		examples: []string{"nbuild theme", "nbuild theme menu -o menu"},
	})
}

// artefactCommand completes a command that builds what targets have under its own name: web.iso, or iso where one has it.
func artefactCommand(c command) command {
	c.args, c.flags = "[NAME]", linkFlags
	c.run = func(ctx context.Context, o *options, args []string) error {
		target, err := artefact(c.name, args)
		if err != nil {
			return err
		}
		return withWorkspace(ctx, o, func(w *workspace) error {
			_, err := w.buildAndLink(ctx, []string{target})
			return err
		})
	}
	return c
}

// artefact returns the target that the arguments of a command mean, which has the name of what it builds.
func artefact(name string, args []string) (string, error) {
	switch len(args) {
	case 0:
		return name, nil
	case 1:
		return args[0] + "." + name, nil
	}
	return "", usagef("nbuild "+name+" --help", "%s: want at most one NAME, got %d", name, len(args))
}
