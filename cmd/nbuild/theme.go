package main

import "context"

func themeCommand() command {
	return command{
		name: "theme", args: "[NAME]",
		summary: "build a boot theme",
		details: `A theme is what the function theme() of a project makes, with everything that it names checked. NAME may be left out
when the project has one theme.`,
		examples: []string{"nbuild theme", "nbuild theme menu -o menu"},
		flags:    linkFlags,
		run: func(ctx context.Context, o *options, args []string) error {
			if len(args) > 1 {
				return usagef("nbuild theme --help", "theme: want at most one theme, got %d", len(args))
			}
			name := "theme"
			if len(args) == 1 {
				name = args[0] + ".theme"
			}
			return withWorkspace(ctx, o, func(w *workspace) error {
				_, err := w.buildAndLink(ctx, []string{name})
				return err
			})
		},
	}
}
