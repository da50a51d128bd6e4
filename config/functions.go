package config

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"nbuild/config/fault"
	"nbuild/config/options"
	"nbuild/derivations"
)

// functions returns what a project file finds beside Starlark's own functions.
func (ev *evaluator) functions() starlark.StringDict {
	globals := starlark.StringDict{
		"struct": starlark.NewBuiltin("struct", starlarkstruct.Make),
		"json":   json.Module,
		"range":  starlark.NewBuiltin("range", rangeFunction),
	}
	add := func(name string, positional int, parameters string, run func(c *call) (starlark.Value, error)) {
		globals[name] = ev.function(signature{name, positional, strings.Fields(parameters)}, run)
	}
	maps.Copy(globals, options.Functions())
	add("derivation", 1, "name script args inputs tools env files outputs", ev.derivationFunction)
	add("source", 1, "path name", ev.sourceFunction)
	add("fetch", 2, "url digest name urls", ev.fetchFunction)
	add("unpack", 1, "src name format strip", ev.unpackFunction)
	add("text_file", 2, "name content executable", ev.textFileFunction)
	add("symlink", 2, "name target", ev.symlinkFunction)
	add("tree", 1, "name inputs files links executable", ev.treeFunction)
	add("debian", 1, "suite mirror keyring recommends", ev.debianFunction)
	add("system", 1, "name modules suite check_configuration", ev.systemFunction)
	add("squashfs", 1, "name contents without profile compression level block_size max_size", ev.squashfsFunction)
	add("theme", 1, "name archive kind path", ev.themeFunction)
	add("iso", 1, "name contents store_contents volume_id publisher compress profile kernel initrd kernel_params menu timeout theme", ev.isoFunction)
	add("from_env", 2, "name default", ev.fromEnvFunction)
	return globals
}

// function makes a function of the project file of a Go function that reads its arguments from a call.
func (ev *evaluator) function(sig signature, run func(c *call) (starlark.Value, error)) *starlark.Builtin {
	return starlark.NewBuiltin(sig.name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		return run(ev.newCall(sig, args, kwargs))
	})
}

// derive makes the derivation of a spec and returns its first output, "out" when there is one. What New finds wrong with
// the spec is a fault of the call.
func (c *call) derive(spec derivations.Spec, kind Kind) *derivationValue {
	found := c.ev.addMentioned(&spec)
	if found.size > maxText {
		c.fault(part{}, fmt.Sprintf("the texts of %s have %d MiB, more than %d MiB", spec.Name, found.size>>20, maxText>>20),
			"put data into a file and use source()")
	}
	for _, secret := range found.secrets {
		c.fault(part{}, fmt.Sprintf("the secret %s would be written into %s, which everybody can read in the store", secret, spec.Name), readSecrets)
	}
	if !c.finish() {
		return c.ev.wrong()
	}
	drv, err := derivations.New(spec)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			c.fault(part{}, strings.TrimSpace(line), "")
		}
		c.finish()
		return c.ev.wrong()
	}
	output := "out"
	if !slices.Contains(drv.Outputs(), output) {
		output = drv.Outputs()[0]
	}
	return c.ev.output(drv, output, c.lparen, kind)
}

// readSecrets is what to do instead of writing a secret into a text.
const readSecrets = "let the program read it at run time: its path is .path, or use the credentials of a systemd service"

func (ev *evaluator) derivationFunction(c *call) (starlark.Value, error) {
	spec := derivations.Spec{
		Name:    c.storeName("name", ""),
		Builder: "sandbox",
		Env:     c.environment("env"),
		Files:   c.buildFiles("files"),
		Outputs: c.outputs("outputs"),
	}
	spec.Inputs = c.inputs("inputs", spec)
	script := c.value("script")
	switch args := c.value("args"); {
	case script != nil && args != nil:
		c.fault(part{argument: "args"}, "derivation has both script and args", "leave one out: args is the command to run, script a script for a shell")
	case args != nil:
		spec.Args = c.texts("args")
		if len(spec.Args) == 0 && len(c.faults) == 0 {
			c.fault(part{argument: "args"}, "args of derivation is empty", "its first element is the program to run")
		}
	case script != nil:
		spec.Args = []string{"/bin/bash", "-eu", "-o", "pipefail", "/build/script"}
		if _, clash := spec.Files["script"]; clash {
			c.fault(part{argument: "files"}.key("script"), `the file "script" is where the script goes`, "call the file something else")
		}
		spec.Files["script"] = c.text("script")
	default:
		c.fault(part{}, "derivation needs the argument script or args", "")
	}
	tools := c.derivation("tools")
	if c.value("tools") == nil {
		tools = c.defaultTools()
	}
	if tools != nil {
		spec.Inputs["root"] = tools.input()
	}
	return c.derive(spec, KindDerivation), nil
}

// environment returns the variables of a build.
func (c *call) environment(name string) map[string]string {
	env := map[string]string{}
	for _, e := range c.entries(name) {
		if !derivations.IsOutputName(e.key) {
			c.fault(e.at, fmt.Sprintf("%q can't be the name of a variable", e.key), "use letters, digits and _")
		}
		if n, ok := e.value.(starlark.Int); ok {
			env[e.key] = n.String()
			continue
		}
		env[e.key], _ = c.asText(e.at, e.value)
	}
	return env
}

// buildFiles returns the files that a build finds in its working folder.
func (c *call) buildFiles(name string) map[string]string {
	files := map[string]string{}
	for _, e := range c.entries(name) {
		if !fs.ValidPath(e.key) || e.key == "." {
			c.fault(e.at, fmt.Sprintf("%q can't be the name of a file of the build", e.key), `write a relative path without ".."`)
		}
		files[e.key], _ = c.asText(e.at, e.value)
	}
	return files
}

func (c *call) outputs(name string) []string {
	v := c.value(name)
	if v == nil {
		return nil
	}
	at := part{argument: name}
	outputs := c.asPlainTexts(at, v)
	if len(c.faults) > 0 {
		return nil // Names that aren't even strings would only be complained about twice.
	}
	if len(outputs) == 0 {
		c.fault(at, "outputs of derivation is empty", `leave it out for the one output "out"`)
	}
	for i, out := range outputs {
		switch {
		case !derivations.IsOutputName(out):
			c.fault(at.key(i), fmt.Sprintf("%q can't be the name of an output", out), "use letters, digits and _")
		case out == "name" || out == "root":
			c.fault(at.key(i), fmt.Sprintf("an output can't be called %q", out), "the name is taken")
		case slices.Contains(outputs[:i], out):
			c.fault(at.key(i), fmt.Sprintf("the output %q is named twice", out), "")
		}
	}
	return outputs
}

// inputs returns the named inputs of a build, whose names become variables beside those in spec.
func (c *call) inputs(name string, spec derivations.Spec) map[string]derivations.Input {
	inputs := map[string]derivations.Input{}
	outputs := spec.Outputs
	if outputs == nil {
		outputs = []string{"out"}
	}
	for _, e := range c.entries(name) {
		_, isVariable := spec.Env[e.key]
		switch {
		case !derivations.IsOutputName(e.key) || e.key[0] == '_':
			c.fault(e.at, fmt.Sprintf("%q can't be the name of an input, which becomes a variable", e.key), "begin with a letter, and use letters, digits and _")
		case e.key == "root":
			c.fault(e.at, `the input "root" is taken`, "give the tree of tools as tools = …")
		case slices.Contains(outputs, e.key):
			c.fault(e.at, fmt.Sprintf("%q is both an input and an output", e.key), "rename one")
		case isVariable:
			c.fault(e.at, fmt.Sprintf("%q is both an input and a variable of env", e.key), "rename one")
		}
		if in, ok := c.asInput(e.at, e.value); ok {
			inputs[e.key] = in
		}
	}
	return inputs
}

// projectFile checks a path of the project and returns it on this machine. Paths are relative to the project's folder,
// whichever file names them, and never lead out of it: a project is one folder that can be moved and copied.
func (c *call) projectFile(at part, name string) string {
	clean := path.Clean(name)
	if name == "" || path.IsAbs(name) || !fs.ValidPath(clean) {
		c.fault(at, fmt.Sprintf("the path %q is not below the project's folder", name), "copy or move what it names there")
		return ""
	}
	return filepath.Join(c.ev.project.Dir, filepath.FromSlash(clean))
}

func (ev *evaluator) sourceFunction(c *call) (starlark.Value, error) {
	if c.required("path") == nil {
		c.finish()
		return sourceValue{}, nil
	}
	at := part{argument: "path"}
	relative := c.plainText("path")
	file := ""
	if len(c.faults) == 0 {
		file = c.projectFile(at, relative)
	}
	name := c.storeName("name", storeName(path.Base(path.Clean(relative))))
	if file != "" {
		if _, err := os.Lstat(file); err != nil {
			c.fault(at, fmt.Sprintf("source %q: %v", relative, reason(err)), "")
		}
	}
	if !c.finish() {
		return sourceValue{}, nil
	}
	object, err := ev.project.Sources.AddSource(ev.ctx, name, file)
	if err != nil {
		return nil, ev.abort(fmt.Errorf("%s: source %q: %w", c.lparen, relative, err))
	}
	ev.reads.Sources[path.Clean(relative)] = SourceRead{Path: object}
	return ev.source(object), nil
}

func (ev *evaluator) fromEnvFunction(c *call) (starlark.Value, error) {
	name := c.plainText("name")
	if c.required("name") != nil && !derivations.IsOutputName(name) && len(c.faults) == 0 {
		c.fault(part{argument: "name"}, fmt.Sprintf("%q can't be the name of a variable", name), "")
	}
	if !c.finish() {
		return starlark.String(""), nil
	}
	var value string
	var set bool
	if ev.project.Getenv != nil {
		value, set = ev.project.Getenv(name)
	}
	ev.reads.Environment[name] = Environment{value, set}
	fallback := c.argument("default")
	switch {
	case set:
		return starlark.String(value), nil
	case fallback != nil:
		return fallback.value, nil
	}
	c.fault(part{}, fmt.Sprintf("the environment variable %s is not set", name), "set it, or give from_env a default")
	c.finish()
	return starlark.String(""), nil
}

func (ev *evaluator) textFileFunction(c *call) (starlark.Value, error) {
	c.required("content")
	spec := derivations.Spec{
		Name:    c.storeName("name", ""),
		Builder: "text",
		Args:    []string{c.text("content")},
		Env:     map[string]string{},
	}
	if c.boolean("executable", false) {
		spec.Env["executable"] = "1"
	}
	return c.derive(spec, KindDerivation), nil
}

func (ev *evaluator) symlinkFunction(c *call) (starlark.Value, error) {
	c.required("target")
	spec := derivations.Spec{
		Name:    c.storeName("name", ""),
		Builder: "symlink",
		Args:    []string{c.text("target")},
	}
	if spec.Args[0] == "" && len(c.faults) == 0 {
		c.fault(part{argument: "target"}, "the target of a symlink can't be empty", "")
	}
	return c.derive(spec, KindDerivation), nil
}

// treePath reports whether p is the plain path of a file in a tree, and makes it a fault when not.
func (c *call) treePath(at part, p string) bool {
	if fs.ValidPath(p) && p != "." {
		return true
	}
	c.fault(at, fmt.Sprintf("%q is not a path in the tree", p), `write a relative path without ".."`)
	return false
}

func (ev *evaluator) treeFunction(c *call) (starlark.Value, error) {
	spec := derivations.Spec{
		Name:    c.storeName("name", ""),
		Builder: "tree",
		Env:     map[string]string{},
		Files:   map[string]string{},
		Inputs:  map[string]derivations.Input{},
	}
	c.treeInputs(&spec)
	for _, e := range c.entries("links") {
		if c.treePath(e.at, e.key) {
			spec.Env["link:"+e.key], _ = c.asText(e.at, e.value)
		}
	}
	executable := c.plainTexts("executable")
	for i, name := range executable {
		if _, ok := spec.Files[name]; !ok {
			c.fault(part{argument: "executable"}.key(i), fmt.Sprintf("%q is none of the texts in files", name), fault.DidYouMean(name, slices.Collect(maps.Keys(spec.Files))))
		}
	}
	if len(executable) > 0 {
		spec.Env["executable"] = strings.Join(executable, "\n")
	}
	return c.derive(spec, KindDerivation), nil
}

// treeInputs takes the inputs that are merged at the top, and the files: texts, and inputs that are put at a path.
func (c *call) treeInputs(spec *derivations.Spec) {
	add := func(in derivations.Input, at string) {
		slot := fmt.Sprintf("input%d", len(spec.Args)+1)
		spec.Inputs[slot] = in
		if at != "" {
			slot += "=" + at
		}
		spec.Args = append(spec.Args, slot)
	}
	for i, v := range c.list("inputs") {
		if in, ok := c.asInput(part{argument: "inputs"}.key(i), v); ok {
			add(in, "")
		}
	}
	for _, e := range c.entries("files") {
		if !c.treePath(e.at, e.key) {
			continue
		}
		if _, isInput := e.value.(input); isInput {
			if in, ok := c.asInput(e.at, e.value); ok {
				add(in, e.key)
			}
			continue
		}
		spec.Files[e.key], _ = c.asText(e.at, e.value)
	}
}
