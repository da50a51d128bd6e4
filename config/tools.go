package config

import "nbuild/derivations"

// tools returns a tree of the tools that nbuild makes and runs things with, or nil when there is a fault. They are of the
// suite that nbuild is made for, whatever the suite of a system: older ones lack what its scripts use.
func (ev *evaluator) tools(name string, packages []string) *derivations.Derivation {
	tools := &debianValue{ev: ev, suite: defaultSuite}
	tree := tools.toolTree(name, packages, ev.callPosition(), func([]string) Position { return Position{} })
	if !tree.valid() {
		return nil
	}
	return tree.drv
}

// imageTools returns the tree of the tools that images are made with, as tools does.
func (ev *evaluator) imageTools() *derivations.Derivation {
	return ev.tools("image-tools", derivations.ImageTools())
}

// isoTools returns the tree of the tools that ISOs are made with, as tools does.
func (ev *evaluator) isoTools() *derivations.Derivation {
	return ev.tools("iso-tools", derivations.ISOTools())
}
