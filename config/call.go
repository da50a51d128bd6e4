package config

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"nbuild/config/fault"
	"nbuild/derivations"
	"nbuild/internal/storepath"
)

// A signature says how a function of the project file is called.
type signature struct {
	name       string
	positional int      // how many of the parameters may be given without their names
	parameters []string // in the order in which messages and documents list them
}

// A call is one call of a function of the project file. Its methods take the arguments apart; a wrong argument is
// recorded with its place, and the method returns a zero value, so that one call shows all of its faults.
type call struct {
	ev        *evaluator
	signature signature
	lparen    Position // of the call's parenthesis, by which the call is found in the file
	arguments []argument
	faults    []argumentFault
	poisoned  bool // an argument comes from a call that was wrong itself
}

// An argument is a value of a call.
type argument struct {
	name  string
	index int // of one that is given without its name, else -1
	value starlark.Value
}

// An argumentFault is something wrong with a call or a part of one of its arguments.
type argumentFault struct {
	at   part
	what string
	hint string
}

// A part is an argument, or a part of it: keys lead to it, strings through dictionaries and ints through lists.
// The zero value is the call itself.
type part struct {
	argument string
	keys     []any
}

func (p part) key(k any) part { return part{p.argument, append(slices.Clip(p.keys), k)} }

// String returns how messages name the part: files["etc/motd"].
func (p part) String() string {
	var b strings.Builder
	b.WriteString(p.argument)
	for _, k := range p.keys {
		fmt.Fprintf(&b, "[%#v]", k)
	}
	return b.String()
}

func (ev *evaluator) newCall(sig signature, args starlark.Tuple, kwargs []starlark.Tuple) *call {
	c := &call{
		ev:        ev,
		signature: sig,
		lparen:    ev.callPosition(),
		arguments: make([]argument, 0, len(args)+len(kwargs)),
	}
	c.bindPositional(args)
	for _, kw := range kwargs {
		c.bindNamed(string(kw[0].(starlark.String)), kw[1])
	}
	return c
}

func (c *call) bindPositional(args starlark.Tuple) {
	sig := c.signature
	if len(args) > sig.positional {
		c.fault(part{}, fmt.Sprintf("%s takes %s without a name, not %d", sig.name, count(sig.positional, "argument"), len(args)),
			"write name = value; it takes "+strings.Join(sig.parameters, ", "))
		args = args[:sig.positional]
	}
	for i, v := range args {
		c.arguments = append(c.arguments, argument{sig.parameters[i], i, v})
	}
}

func (c *call) bindNamed(name string, v starlark.Value) {
	sig := c.signature
	switch {
	case c.argument(name) != nil:
		c.fault(part{argument: name}, fmt.Sprintf("%s has two values for %s", sig.name, name), "")
	case !slices.Contains(sig.parameters, name):
		hint := fault.DidYouMean(name, sig.parameters)
		if hint == "" {
			hint = "it takes " + strings.Join(sig.parameters, ", ")
		}
		c.fault(part{argument: name}, fmt.Sprintf("%s has no argument %q", sig.name, name), hint)
	default:
		c.arguments = append(c.arguments, argument{name, -1, v})
	}
}

// argument returns an argument, or nil when it is left out.
func (c *call) argument(name string) *argument {
	for i := range c.arguments {
		if c.arguments[i].name == name {
			return &c.arguments[i]
		}
	}
	return nil
}

func count(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (c *call) fault(at part, what, hint string) {
	c.faults = append(c.faults, argumentFault{at, what, hint})
}

// finish records the faults as items and reports whether the call is right and can go on.
func (c *call) finish() bool {
	if len(c.faults) == 0 {
		return !c.poisoned
	}
	expr := c.ev.findCall(c.lparen)
	callers := c.ev.callers()
	for _, f := range c.faults {
		at := c.lparen
		if expr != nil {
			at = c.locate(expr, f.at)
		}
		c.ev.report(Item{Position: at, What: f.what, Hint: f.hint, Callers: callers})
	}
	return false
}

// callers returns the calls that led to that of the built-in function that runs now, the innermost first.
func (ev *evaluator) callers() []Position {
	stack := ev.thread.CallStack()
	var callers []Position
	for i := len(stack) - 3; i >= 0 && len(callers) < maxCallers; i-- { // 1 is the built-in, 2 the call itself.
		if at := ev.position(stack[i].Pos); at.Line > 0 {
			callers = append(callers, at)
		}
	}
	return callers
}

// value returns an argument, or nil when it is left out or None, which mean the same.
func (c *call) value(name string) starlark.Value {
	a := c.argument(name)
	if a == nil || a.value == starlark.None {
		return nil
	}
	return a.value
}

// required returns an argument and makes it a fault when there is none.
func (c *call) required(name string) starlark.Value {
	v := c.value(name)
	if v == nil {
		c.fault(part{}, fmt.Sprintf("%s needs the argument %s", c.signature.name, name), "")
	}
	return v
}

func (c *call) wrongType(at part, want string, v starlark.Value) {
	c.fault(at, fmt.Sprintf("%s of %s: want %s, got %s", at, c.signature.name, want, describe(v)), "")
}

// describe says what a value is, briefly.
func describe(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.NoneType:
		return "None"
	case starlark.String:
		return fmt.Sprintf("the string %.40q", string(v))
	case starlark.Bool, starlark.Float:
		return v.String()
	case starlark.Int:
		if v.BigInt().BitLen() < 64 {
			return v.String()
		}
		return "a huge int"
	}
	article := "a "
	if strings.ContainsRune("aeiou", rune(v.Type()[0])) {
		article = "an "
	}
	return article + v.Type()
}

// text returns a string argument, or "" when there is none. Derivations and sources may stand for their paths.
func (c *call) text(name string) string {
	if v := c.value(name); v != nil {
		s, _ := c.asText(part{argument: name}, v)
		return s
	}
	return ""
}

func (c *call) asText(at part, v starlark.Value) (string, bool) {
	switch v := v.(type) {
	case starlark.String:
		return string(v), true
	case input:
		if !v.valid() {
			c.poisoned = true
		}
		return v.String(), true
	}
	c.wrongType(at, "a string", v)
	return "", false
}

// plainText is text for an argument that nbuild itself reads, so that it must not hold the path of something unbuilt.
func (c *call) plainText(name string) string {
	v := c.value(name)
	if v == nil {
		return ""
	}
	return c.asPlainText(part{argument: name}, v)
}

func (c *call) asPlainText(at part, v starlark.Value) string {
	s, ok := v.(starlark.String)
	if !ok {
		c.wrongType(at, "a string", v)
		return ""
	}
	if strings.Contains(string(s), storepath.PlaceholderPrefix+"/") {
		c.fault(at, fmt.Sprintf("%s of %s holds the path of something that is not built yet", at, c.signature.name), "")
	}
	return string(s)
}

// storeName returns an argument that names a store object; fallback when it is left out, and it is required when that is
// empty.
func (c *call) storeName(name, fallback string) string {
	v := c.value(name)
	if v == nil && fallback != "" {
		return fallback
	}
	if v = c.required(name); v == nil {
		return ""
	}
	at := part{argument: name}
	s := c.asPlainText(at, v)
	if _, isString := v.(starlark.String); isString {
		if err := storepath.ValidateName(s); err != nil {
			c.fault(at, fmt.Sprintf("%s of %s: %v", name, c.signature.name, err), "")
		}
	}
	return s
}

func (c *call) boolean(name string, fallback bool) bool {
	if v := c.value(name); v != nil {
		return c.asBoolean(part{argument: name}, v)
	}
	return fallback
}

func (c *call) asBoolean(at part, v starlark.Value) bool {
	b, ok := v.(starlark.Bool)
	if !ok {
		c.wrongType(at, "True or False", v)
	}
	return bool(b)
}

// list returns the elements of a list or tuple argument, nil when it is left out.
func (c *call) list(name string) []starlark.Value {
	if v := c.value(name); v != nil {
		return c.asList(part{argument: name}, v)
	}
	return nil
}

func (c *call) asList(at part, v starlark.Value) []starlark.Value {
	var elements []starlark.Value
	switch v := v.(type) {
	case *starlark.List:
		for e := range v.Elements() {
			elements = append(elements, e)
		}
	case starlark.Tuple:
		elements = v
	default:
		c.wrongType(at, "a list", v)
	}
	return elements
}

// texts returns a list of strings, with derivations and sources for their paths.
func (c *call) texts(name string) []string {
	var texts []string
	for i, v := range c.list(name) {
		s, _ := c.asText(part{argument: name}.key(i), v)
		texts = append(texts, s)
	}
	return texts
}

// plainTexts returns a list of strings that nbuild itself reads.
func (c *call) plainTexts(name string) []string {
	if v := c.value(name); v != nil {
		return c.asPlainTexts(part{argument: name}, v)
	}
	return nil
}

func (c *call) asPlainTexts(at part, v starlark.Value) []string {
	var texts []string
	for i, v := range c.asList(at, v) {
		texts = append(texts, c.asPlainText(at.key(i), v))
	}
	return texts
}

// An entry is one of a dictionary with strings for keys.
type entry struct {
	key   string
	at    part
	value starlark.Value
}

// entries returns the entries of a dictionary in the order of their keys, which is that of the project's file.
func (c *call) entries(name string) []entry {
	if v := c.value(name); v != nil {
		return c.asEntries(part{argument: name}, v)
	}
	return nil
}

func (c *call) asEntries(at part, v starlark.Value) []entry {
	d, ok := v.(*starlark.Dict)
	if !ok {
		c.wrongType(at, "a dictionary", v)
		return nil
	}
	entries := make([]entry, 0, d.Len())
	for k, v := range d.Entries() {
		s, ok := k.(starlark.String)
		if !ok {
			c.fault(at, fmt.Sprintf("%s of %s: want strings for keys, got %s", at, c.signature.name, describe(k)), "")
			continue
		}
		entries = append(entries, entry{string(s), at.key(string(s)), v})
	}
	return entries
}

// derivation returns an argument that is an output of a derivation, or nil when it is left out or wrong.
func (c *call) derivation(name string) *derivationValue {
	v := c.value(name)
	if v == nil {
		return nil
	}
	drv, ok := v.(*derivationValue)
	if !ok {
		c.wrongType(part{argument: name}, "a derivation", v)
		return nil
	}
	if !drv.valid() {
		c.poisoned = true
		return nil
	}
	return drv
}

// asInput returns what a value is as an input: an output of a derivation or a source.
func (c *call) asInput(at part, v starlark.Value) (derivations.Input, bool) {
	in, ok := v.(input)
	if !ok {
		hint := ""
		if _, isString := v.(starlark.String); isString {
			hint = "a file of the project is source(\"its path\")"
		}
		c.fault(at, fmt.Sprintf("%s of %s: want a derivation or a source, got %s", at, c.signature.name, describe(v)), hint)
		return derivations.Input{}, false
	}
	if !in.valid() {
		c.poisoned = true
		return derivations.Input{}, false
	}
	return in.input(), true
}
