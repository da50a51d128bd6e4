package config_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.starlark.net/starlark"

	"nbuild/config"
	"nbuild/config/options"
	"nbuild/derivations"
)

var updateModules = flag.Bool("update", false, "write what systems come to into testdata/modules")

// TestModules compares what each archive of testdata/modules configures with what a system is without configuration. An
// archive has the file nbuild.star, which declares the system "web", perhaps other files of a project, and "want".
func TestModules(t *testing.T) {
	files, err := filepath.Glob("testdata/modules/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	plain := describeSystem(t, evaluateFile(t, `web = system("web")`), func(s config.System) *options.Result { return s.Options })
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources, want := map[string]string{}, -1
			for i, f := range archive.Files {
				if f.Name == "want" {
					want = i
					continue
				}
				sources[f.Name] = string(f.Data)
			}
			if want < 0 {
				t.Fatal("there is no want")
			}
			before := plain
			if filepath.Base(file) == "nothing.txtar" {
				before = nil
			}
			got := outcome(t, sources, before)
			if *updateModules {
				archive.Files[want].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[want].Data), got); diff != "" {
				t.Errorf("(-want +got), or run the test with -update:\n%s", diff)
			}
		})
	}
}

// outcome returns the faults of a project, or how its system differs from a plain one, and the machine from the system.
func outcome(t *testing.T, sources map[string]string, plain []string) string {
	t.Helper()
	r, err := config.Evaluate(t.Context(), project(t, sources))
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s: %s\n", w.Position, w.What)
	}
	system := describeSystem(t, r, func(s config.System) *options.Result { return s.Options })
	b.WriteString(differences(plain, system))
	machine := differences(system, describeSystem(t, r, func(s config.System) *options.Result { return s.VM }))
	if machine != "" {
		b.WriteString("\nin the virtual machine:\n" + machine)
	}
	return b.String()
}

func differences(before, after []string) string {
	var b strings.Builder
	for _, e := range before {
		if !slices.Contains(after, e) {
			first, _, _ := strings.Cut(e, "\n")
			b.WriteString("not as before: " + first + "\n")
		}
	}
	for _, e := range after {
		if !slices.Contains(before, e) {
			b.WriteString(e + "\n")
		}
	}
	return b.String()
}

// storeObject is a path whose hash says nothing to people.
var storeObject = regexp.MustCompile(`/nbuild/(unbuilt|store)/[0-9a-z]{32}-`)

// describeSystem returns what a system is made of, an entry each.
func describeSystem(t *testing.T, r *config.Result, of func(config.System) *options.Result) []string {
	t.Helper()
	values := of(r.Systems[0])
	var entries []string
	for _, name := range []string{
		"environment.packages", "systemd.enabled_units", "systemd.masked_units", "boot.kernel_params", "boot.initrd_modules",
		"users.users", "users.groups", "networking.firewall.allowed_tcp_ports",
	} {
		v, _ := values.Value(name)
		for e := range starlark.Elements(v.(starlark.Iterable)) {
			entry := options.Format(e)
			if dict, ok := v.(*starlark.Dict); ok {
				field, _, _ := dict.Get(e)
				entry += ": " + options.Format(field)
			}
			entries = append(entries, name+" "+storeObject.ReplaceAllString(entry, "$1/"))
		}
	}
	files, _ := values.Value("environment.files")
	for path, f := range files.(*starlark.Dict).Entries() {
		entries = append(entries, describeFile(string(path.(starlark.String)), f.(starlark.HasAttrs)))
	}
	return append(entries, scripts(t, r)...)
}

func describeFile(path string, f starlark.HasAttrs) string {
	field := func(name string) string {
		v, err := f.Attr(name)
		if err != nil || v == starlark.None {
			return ""
		}
		if s, ok := starlark.AsString(v); ok {
			return s
		}
		return options.Format(v)
	}
	head := "file " + path
	for _, part := range []struct{ before, name, usual string }{{" ", "mode", ""}, {" of ", "user", "root"}, {":", "group", "root"}, {" -> ", "link", ""}, {" <- ", "source", ""}} {
		if v := field(part.name); v != part.usual {
			head += part.before + v
		}
	}
	return storeObject.ReplaceAllString(indented(head, field("text")), "$1/")
}

func indented(head, text string) string {
	var b strings.Builder
	b.WriteString(head)
	for line := range strings.Lines(text) {
		b.WriteString("\n\t" + strings.TrimSuffix(line, "\n"))
	}
	return b.String()
}

// scripts returns the texts that systems' units run, and those that builds check which have the same name.
func scripts(t *testing.T, r *config.Result) []string {
	t.Helper()
	var entries []string
	seen := map[*derivations.Derivation]bool{}
	for _, name := range []string{"web", "web.vm"} {
		for _, in := range target(t, r, name).Derivation.Inputs() {
			drv := in.Derivation
			if drv == nil || seen[drv] {
				continue
			}
			seen[drv] = true
			action, err := drv.Resolve(anyPath)
			if err != nil {
				t.Fatal(err)
			}
			text := action.Files()[drv.Name()]
			if drv.Builder() == "text" {
				text = action.Args()[0]
			}
			if text != "" {
				entries = append(entries, storeObject.ReplaceAllString(indented("text "+drv.Name(), text), "$1/"))
			}
		}
	}
	slices.Sort(entries)
	return slices.Compact(entries)
}
