package config

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
	"nbuild/derivations"
)

// themeFunction makes a boot theme of an archive or a folder.
func (ev *evaluator) themeFunction(c *call) (starlark.Value, error) {
	spec := derivations.ThemeSpec{Name: c.storeName("name", ""), Kind: c.plainText("kind"), Path: strings.TrimSuffix(c.plainText("path"), "/")}
	if v := c.required("archive"); v != nil {
		if in, ok := c.asInput(part{argument: "archive"}, v); ok {
			spec.Archive = in
			spec.Format = archiveFormat(inputName(in))
		}
	}
	c.required("kind")
	if len(c.faults) > 0 || c.poisoned {
		c.finish()
		return ev.wrong(), nil
	}
	if spec.Tools = ev.imageTools(); spec.Tools == nil {
		return ev.wrong(), nil
	}
	drv, err := derivations.Theme(spec)
	if err == nil {
		return ev.output(drv, "out", c.lparen, KindTheme), nil
	}
	for line := range strings.Lines(err.Error()) {
		argument, _, _ := strings.Cut(line, " ")
		hint := ""
		if argument == "kind" {
			hint = fault.DidYouMean(spec.Kind, derivations.ThemeKinds())
		}
		c.fault(part{argument: argument}, strings.TrimSpace(line), hint)
	}
	c.finish()
	return ev.wrong(), nil
}

// checkThemes holds the themes of a system against the kinds that they are used as. What the project makes by other means
// than theme() is taken for what it is used as.
func (s settings) checkThemes() {
	for _, kind := range []string{"grub", "plymouth"} {
		v, ok := s.value("theme." + kind).(*derivationValue)
		if !ok || !v.valid() {
			continue
		}
		if is := derivations.ThemeKind(v.drv); is != "" && is != kind {
			s.fault("theme."+kind, "", fmt.Sprintf("option theme.%s: %s is a theme of the kind %q", kind, v.drv.Name(), is), "")
		}
	}
}

// menuTheme returns the theme of the boot loader's menu; the zero value means the plain one.
func (s settings) menuTheme() derivations.Input {
	if theme, ok := s.value("theme.grub").(*derivationValue); ok && theme.valid() {
		return theme.input()
	}
	return derivations.Input{}
}

// onlyTheme returns the theme of a project that has one.
func (r *Result) onlyTheme() (Target, error) {
	var themes []Target
	var names []string
	for _, t := range r.Targets {
		if t.Kind == KindTheme {
			themes = append(themes, t)
			names = append(names, t.Name)
		}
	}
	switch len(themes) {
	case 0:
		return Target{}, fault.New(Item{
			What: `there is no target "theme", because the project declares no theme`,
			Hint: `declare one: menu = theme("menu", archive = source("menu.tar.gz"), kind = "grub")`,
		})
	case 1:
		return themes[0], nil
	}
	return Target{}, fault.New(Item{
		What: fmt.Sprintf(`"theme" could be any of %d themes`, len(themes)),
		Hint: "name one: " + strings.Join(names, ", "),
	})
}
