package builders

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"nbuild/internal/registration"
)

// The user that builds run as, unless as root. They are the first that Debian gives to a person.
const (
	buildUID = 1000
	buildGID = 1000
)

// planner collects the steps of a plan.
type planner struct {
	*sandboxRun
	steps []step
}

// planSandbox returns the plan of a build. It creates nothing.
func planSandbox(run *sandboxRun) (*sandboxPlan, error) {
	p := &planner{sandboxRun: run}
	for _, folder := range []string{run.store(), run.build(), run.tmp()} {
		p.mkdir(folder)
	}
	root := p.readOnlyRoot
	if run.writableRoot {
		root = p.ownRoot
	}
	if err := root(); err != nil {
		return nil, err
	}
	p.devices()
	if err := p.buildFolder(); err != nil {
		return nil, err
	}
	p.add(step{Op: opBind, Source: run.tmp(), Path: "tmp"})
	p.add(step{Op: opMount, Source: "proc", Path: "proc"})
	return &sandboxPlan{
		Root: run.root(), Steps: p.steps, Args: run.Action.Args(), Env: run.environment(), Dir: "/build",
		AsRoot: run.asRoot,
	}, nil
}

func (p *planner) add(s ...step)        { p.steps = append(p.steps, s...) }
func (p *planner) mkdir(name string)    { p.add(step{Op: opMkdir, Path: name, Mode: 0o755}) }
func (p *planner) symlink(l, to string) { p.add(step{Op: opSymlink, Path: l, Text: to}) }
func (p *planner) write(name, content string) {
	p.add(step{Op: opWrite, Path: name, Text: content, Mode: 0o644})
}

// mountPoints are the folders at the top of every sandbox that are not the root tree's.
func mountPoints() []string { return []string{"build", "dev", "nbuild", "proc", "run", "tmp"} }

// readOnlyRoot makes the root a tmpfs into which the entries of the tree's top are bound. So the tree need not have the
// mount points: it is read-only, and they could not be made in it.
func (p *planner) readOnlyRoot() error {
	p.add(step{Op: opMount, Source: "tmpfs", Path: p.root(), Text: "mode=0755"}, step{Op: opEnter, Path: p.root()})
	for _, name := range mountPoints() {
		p.mkdir(name)
	}
	p.mkdir("nbuild/store")
	hasEtc := false
	if input, ok := p.Inputs[rootSlot]; ok {
		entries, err := os.ReadDir(input.File)
		if err != nil {
			return p.Failf("input %q is not a folder: %v", rootSlot, err)
		}
		for _, entry := range entries {
			if slices.Contains(mountPoints(), entry.Name()) {
				continue
			}
			if entry.Name() == "etc" && entry.Type()&fs.ModeSymlink == 0 {
				hasEtc = true
				continue
			}
			if err := p.show(filepath.Join(input.File, entry.Name()), entry.Name(), entry.Type()); err != nil {
				return err
			}
		}
		if err := p.etc(filepath.Join(input.File, "etc"), hasEtc); err != nil {
			return err
		}
	} else if err := p.etc("", false); err != nil {
		return err
	}
	return p.storeFolder(".")
}

// etc shows the tree's /etc. What every program expects there and the tree lacks is filled in, which takes a folder of
// our own with each entry of the tree's bound into it.
func (p *planner) etc(from string, exists bool) error {
	missing := map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/build:/bin/sh\n" +
			"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"group": "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n",
		"hosts": "127.0.0.1 localhost\n::1 localhost\n",
	}
	var entries []fs.DirEntry
	if exists {
		var err error
		if entries, err = os.ReadDir(from); err != nil {
			return fmt.Errorf("read root's etc: %w", err)
		}
		for _, entry := range entries {
			delete(missing, entry.Name())
		}
	}
	p.mkdir("etc")
	if len(missing) == 0 {
		p.add(step{Op: opBind, Source: from, Path: "etc"})
		return nil
	}
	for _, entry := range entries {
		if err := p.show(filepath.Join(from, entry.Name()), "etc/"+entry.Name(), entry.Type()); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		p.write("etc/"+name, missing[name])
	}
	return nil
}

// ownRoot makes the copied tree the root. What is missing for mounts is created in it and remembered.
func (p *planner) ownRoot() error {
	root := p.root()
	for _, name := range mountPoints() {
		info, err := os.Lstat(filepath.Join(root, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.mkdir(filepath.Join(root, name))
			p.created = append(p.created, filepath.Join(root, name))
		case err != nil:
			return fmt.Errorf("read root: %w", err)
		case !info.IsDir():
			return p.Failf("/%s in input %q is not a folder", name, rootSlot)
		}
	}
	p.add(
		step{Op: opBind, Source: root, Path: root},
		step{Op: opEnter, Path: root},
		step{Op: opMount, Source: "tmpfs", Path: "run", Text: "mode=0755"},
		step{Op: opMount, Source: "tmpfs", Path: "nbuild", Text: "mode=0755"},
	)
	p.mkdir("nbuild/store")
	return p.storeFolder("nbuild")
}

// storeFolder shows the closure of the inputs in a folder where the outputs can be made. All that is mounted from top
// down to now becomes read-only, except that folder.
func (p *planner) storeFolder(top string) error {
	p.closures()
	p.add(step{Op: opBind, Source: p.store(), Path: "nbuild/store"})
	for _, object := range p.Closure {
		info, err := os.Lstat(object.File)
		if err != nil {
			return fmt.Errorf("show input: %w", err)
		}
		if err := p.show(object.File, insideStore(object.Path), info.Mode().Type()); err != nil {
			return err
		}
	}
	p.add(step{Op: opReadOnly, Path: top}, step{Op: opWritable, Path: "nbuild/store"})
	return nil
}

// show makes what is at from on the host appear at name. A symlink is made anew, as mounts would follow it.
func (p *planner) show(from, name string, kind fs.FileMode) error {
	switch kind {
	case fs.ModeDir:
		p.mkdir(name)
	case 0:
		p.write(name, "")
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return fmt.Errorf("show input: %w", err)
		}
		p.symlink(name, target)
		return nil
	default:
		return fmt.Errorf("show input: %s is neither a file nor a folder nor a symlink", from)
	}
	p.add(step{Op: opBind, Source: from, Path: name})
	return nil
}

// devices makes /dev with the harmless devices, which are the host's: nobody can make device nodes in a namespace.
func (p *planner) devices() {
	p.add(step{Op: opMount, Source: "tmpfs", Path: "dev", Text: "mode=0755"})
	for _, name := range []string{"full", "null", "random", "tty", "urandom", "zero"} {
		p.write("dev/"+name, "")
		p.add(step{Op: opBind, Source: "/dev/" + name, Path: "dev/" + name})
	}
	p.symlink("dev/fd", "/proc/self/fd")
	p.symlink("dev/stdin", "/proc/self/fd/0")
	p.symlink("dev/stdout", "/proc/self/fd/1")
	p.symlink("dev/stderr", "/proc/self/fd/2")
	p.symlink("dev/ptmx", "pts/ptmx")
	p.add(step{Op: opMkdir, Path: "dev/shm", Mode: 0o1777})
	p.mkdir("dev/pts")
	p.add(step{Op: opMount, Source: "devpts", Path: "dev/pts", Text: "newinstance,ptmxmode=0666,mode=0620"})
}

// closures writes the lists of closures to a folder that storeFolder will make read-only. In /build, where builds look
// for them, there is a link: on a tmpfs a file costs much less than on a disk.
func (p *planner) closures() {
	p.mkdir("nbuild/closure")
	for _, slot := range p.Action.Slots() {
		if strings.Contains(slot, "/") || !fs.ValidPath(slot) || slot == "." {
			continue // A name that can't be a file's. Its closure can't be asked for.
		}
		var list strings.Builder
		for _, object := range p.Inputs[slot].Closure {
			list.WriteString(string(object) + "\n")
		}
		p.write("nbuild/closure/"+slot, list.String())
	}
	if p.packs > 0 {
		p.write("nbuild/registration", string(registration.Format(p.registered)))
	}
}

// buildFolder fills /build with the action's files.
func (p *planner) buildFolder() error {
	p.symlink(p.build()+"/closure", "/nbuild/closure")
	made := map[string]bool{".": true, "closure": false}
	if p.packs > 0 {
		p.symlink(p.build()+"/registration", "/nbuild/registration")
		made["registration"] = false
	}
	files := p.Action.Files()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !fs.ValidPath(name) || name == "." || strings.Contains(name, "\x00") {
			return p.Failf("file %q: want a relative path without empty, . and .. parts", name)
		}
		if _, clash := made[name]; clash {
			return p.Failf("file %q: there is something of that name already", name)
		}
		if err := p.parents(made, name); err != nil {
			return err
		}
		made[name] = false
		p.write(p.build()+"/"+name, files[name])
	}
	p.add(step{Op: opBind, Source: p.build(), Path: "build"})
	return nil
}

// parents adds the folders that a file needs. made tells folders (true) and files (false) that are there already.
func (p *planner) parents(made map[string]bool, name string) error {
	folder := path.Dir(name)
	isFolder, exists := made[folder]
	switch {
	case exists && isFolder:
		return nil
	case exists:
		return p.Failf("file %q: %s is not a folder", name, folder)
	}
	if err := p.parents(made, folder); err != nil {
		return err
	}
	made[folder] = true
	p.mkdir(p.build() + "/" + folder)
	return nil
}

// environment returns the variables of the program, sorted: fixed ones, inputs, outputs, and the action's own, which
// may replace the fixed ones.
func (run *sandboxRun) environment() []string {
	cores := strconv.Itoa(run.Cores)
	env := map[string]string{
		"HOME":              "/build",
		"LC_ALL":            "C.UTF-8",
		"MAKEFLAGS":         "-j" + cores,
		"NBUILD_CORES":      cores,
		"PATH":              "/usr/sbin:/usr/bin:/sbin:/bin",
		"SOURCE_DATE_EPOCH": "315532800", // 1 January 1980: the first that zip and FAT can tell
		"TMPDIR":            "/tmp",
		"TZ":                "UTC",
	}
	for slot, input := range run.Inputs {
		if isVariable(slot) {
			env[slot] = string(input.Path)
		}
	}
	for name, output := range run.Outputs {
		env[name] = string(output.Path)
	}
	for name, value := range run.Action.Env() {
		if !strings.HasPrefix(name, optionPrefix) {
			env[name] = value
		}
	}
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
