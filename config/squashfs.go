package config

import (
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
	"nbuild/derivations"
)

// squashfsFunction makes an image of store objects.
func (ev *evaluator) squashfsFunction(c *call) (starlark.Value, error) {
	spec := derivations.SquashfsSpec{
		Name:        c.storeName("name", ""),
		Contents:    c.closures("contents"),
		Without:     c.closures("without"),
		Profile:     c.plainText("profile"),
		Compression: c.plainText("compression"),
		Level:       c.positive("level"),
		BlockSize:   c.positive("block_size"),
		MaxSize:     c.positive("max_size"),
	}
	c.required("contents")
	if len(c.faults) > 0 || c.poisoned {
		c.finish()
		return ev.wrong(), nil
	}
	return c.squashfs(spec), nil
}

// squashfs makes the image, or faults of the call's arguments.
func (c *call) squashfs(spec derivations.SquashfsSpec) *derivationValue {
	image := c.ev.squashfs(spec, c.lparen, func(argument, what string) {
		c.fault(part{argument: argument}, what, squashfsHint(argument, spec))
	})
	c.finish()
	return image
}

// squashfs makes the image of the system's closure, or faults of the options squashfs.*.
func (s settings) squashfs(v *systemValue) *derivationValue {
	spec := derivations.SquashfsSpec{
		Name:        v.name + ".squashfs",
		Contents:    []derivations.Input{v.system.input()},
		Profile:     s.text("squashfs.profile"),
		Compression: s.text("squashfs.compression"),
		Level:       s.number("squashfs.level"),
		BlockSize:   s.number("squashfs.block_size"),
		MaxSize:     s.number("squashfs.max_size"),
	}
	return s.ev.squashfs(spec, v.position, func(argument, what string) { s.fault("squashfs."+argument, "", what, "") })
}

// squashfs makes an image. What is wrong with the spec is told to report: the name of the field, and a message.
func (ev *evaluator) squashfs(spec derivations.SquashfsSpec, at Position, report func(field, what string)) *derivationValue {
	if spec.Tools = ev.imageTools(); spec.Tools == nil {
		return ev.wrong()
	}
	drv, err := derivations.Squashfs(spec)
	if err == nil {
		return ev.output(drv, "out", at, KindSquashfs)
	}
	for line := range strings.Lines(err.Error()) {
		field, _, _ := strings.Cut(line, " ")
		report(field, strings.TrimSpace(line))
	}
	return ev.wrong()
}

// squashfsHint returns what to write instead of a word that is unknown.
func squashfsHint(argument string, spec derivations.SquashfsSpec) string {
	switch argument {
	case "profile":
		return fault.DidYouMean(spec.Profile, derivations.SquashfsProfiles())
	case "compression":
		return fault.DidYouMean(spec.Compression, derivations.SquashfsCompressions())
	}
	return ""
}

// closures returns a list of what an image has, or lacks: outputs, sources, and systems for their closures.
func (c *call) closures(name string) []derivations.Input {
	var inputs []derivations.Input
	for i, v := range c.list(name) {
		if system, ok := v.(*systemValue); ok {
			v = system.system
		}
		if in, ok := c.asInput(part{argument: name}.key(i), v); ok {
			inputs = append(inputs, in)
		}
	}
	return inputs
}

// positive returns an argument that is an int above 0, or 0 when it is left out or wrong.
func (c *call) positive(name string) int { return c.atLeast(1, name, "an int above 0") }

// atLeast returns an argument that is a number, what is wanted in words, or 0 when it is left out.
func (c *call) atLeast(least int, name, wanted string) int {
	v := c.value(name)
	if v == nil {
		return 0
	}
	n, err := starlark.AsInt32(v)
	if _, isInt := v.(starlark.Int); !isInt || err != nil || n < least {
		c.wrongType(part{argument: name}, wanted, v)
		return 0
	}
	return n
}
