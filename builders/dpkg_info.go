package builders

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// writeInfo puts the control files of all packages into the info folder, by hard link where that gives the right mode.
func writeInfo(dir *beneath, packages []*debPackage) error {
	for _, p := range packages {
		for _, name := range p.files {
			if name == "control" || name == conffilesFile { // Their content is in the status file.
				continue
			}
			if err := p.writeInfoFile(dir, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *debPackage) writeInfoFile(dir *beneath, name string) error {
	from := filepath.Join(p.folder, name)
	to := adminFolder + "info/" + p.infoName() + "." + name
	info, err := os.Lstat(from)
	if err != nil {
		return fmt.Errorf("read control file: %w", err)
	}
	// dpkg runs them whatever mode they were shipped with.
	executable := isMaintainerScript(name)
	if info.Mode().IsRegular() && executable == (info.Mode()&0o100 != 0) {
		err := dir.linkFile(from, to)
		if !errors.Is(err, unix.EMLINK) && !errors.Is(err, unix.EXDEV) && !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read control file: %w", err)
	}
	return dir.writeFile(to, content, executable)
}

func isMaintainerScript(name string) bool {
	switch name {
	case "preinst", "postinst", "prerm", "postrm", "config":
		return true
	}
	return false
}

// linkFile makes a new name for a file that lies elsewhere.
func (b *beneath) linkFile(file, name string) error {
	fd, base, err := b.parent(name)
	if err != nil {
		return err
	}
	if err := unix.Linkat(unix.AT_FDCWD, file, fd, base, 0); err != nil {
		return entryError(name, err)
	}
	return nil
}

// writeTriggers writes which package is interested in which trigger: the file triggers/File for those that are paths,
// a file for each other.
func writeTriggers(dir *beneath, packages []*debPackage) error {
	var paths []string
	named := map[string][]string{}
	for _, p := range packages {
		interests, err := parseInterests(p.triggers)
		if err != nil {
			return refusef("input %s: %v", p.slot, err)
		}
		for _, in := range interests {
			who := p.infoName()
			if in.noawait {
				who += "/noawait"
			}
			if strings.HasPrefix(in.trigger, "/") {
				paths = append(paths, in.trigger+" "+who+"\n")
			} else {
				named[in.trigger] = append(named[in.trigger], who+"\n")
			}
		}
	}
	slices.Sort(paths)
	if err := dir.writeFile(adminFolder+"triggers/File", []byte(strings.Join(paths, "")), false); err != nil {
		return err
	}
	for _, trigger := range slices.Sorted(maps.Keys(named)) {
		content := strings.Join(named[trigger], "")
		if err := dir.writeFile(adminFolder+"triggers/"+trigger, []byte(content), false); err != nil {
			return err
		}
	}
	return nil
}

// An interest is a trigger that a package wants to hear of.
type interest struct {
	trigger string
	noawait bool // who triggers it doesn't wait
}

// parseInterests reads the interests of a triggers control file (deb-triggers(5)). Those it activates aren't kept in
// the database.
func parseInterests(b []byte) ([]interest, error) {
	var interests []interest
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 2 {
			return nil, refusef("its triggers file has the line %q", strings.TrimSpace(line))
		}
		switch words[0] {
		case "interest", "interest-await":
			interests = append(interests, interest{trigger: words[1]})
		case "interest-noawait":
			interests = append(interests, interest{trigger: words[1], noawait: true})
		case "activate", "activate-await", "activate-noawait":
		default:
			return nil, refusef("its triggers file has the unknown directive %q", words[0])
		}
		if err := checkTrigger(words[1]); err != nil {
			return nil, err
		}
	}
	return interests, nil
}

// checkTrigger refuses what is no trigger's name: a path, or else the name of a file in the database.
func checkTrigger(name string) error {
	if strings.HasPrefix(name, "/") {
		return nil
	}
	reserved := name == "File" || name == "Lock" || name == "Unincorp"
	if reserved || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\x00") {
		return refusef("its triggers file names %s, which is no trigger", quoteName(name))
	}
	return nil
}
