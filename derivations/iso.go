package derivations

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"nbuild/scripts"
)

// An ISOSpec says what the image of a CD is made of, which is one of a disk too. ISO doesn't keep or change its slices.
type ISOSpec struct {
	Name      string    // the image is iso/<Name>.iso
	VolumeID  string    // the label, by which a booting system finds its medium; empty means VolumeID(Name)
	Publisher string    // on the image in capitals, as the format has no others
	Contents  []ISOFile // besides what it boots with

	// StoreContents are store objects that the image has in its store, with all that they refer to, and a link to each.
	StoreContents []ISOFile

	Compress bool   // with zstd, as a whole; the image is iso/<Name>.iso.zst
	Profile  string // of the squashfs images in it; one of SquashfsProfiles, or empty
	Boot     *ISOBoot
	Tools    *Derivation // ToolTree of ISOTools and what they depend on
	Packer   *Derivation // ToolTree of ImageTools and what they depend on
}

// An ISOFile is a file or folder of an ISO, or a link there.
type ISOFile struct {
	Target string // on the ISO; a slash at its beginning makes no difference
	Source Input
	Below  string // the part of Source that is meant; empty means all of it
}

// An ISOBoot is what an ISO boots, by BIOS and by UEFI, as a CD and as a disk.
type ISOBoot struct {
	Kernel, Initrd Input
	Params         []string // the kernel's command line
	MoreParams     bool     // before Params come those that a virtual machine hands over
	Menu           Menu
	Theme          Input // a folder with GRUB's theme.txt; the zero value means the plain menu
}

// maxVolumeID is the size of the field in the primary volume descriptor, ECMA-119 8.4.7; that of the publisher is in 8.4.16.
const (
	maxVolumeID  = 32
	maxPublisher = 128
)

// ISOTools returns the packages that ISOs are made with.
func ISOTools() []string {
	return []string{
		"bash", "coreutils", "dash", "findutils", "grub-common", "grub-efi-amd64-bin", "grub-pc-bin", "mawk", "mtools", "sed", "xorriso", "zstd",
	}
}

// VolumeID makes the label of a volume of a name.
func VolumeID(name string) string {
	label := strings.Map(func(c rune) rune {
		if isLabelRune(c) {
			return c
		}
		return '_'
	}, strings.ToUpper(name))
	return label[:min(len(label), maxVolumeID)]
}

// isLabelRune reports whether c can be in a label. It stands in a kernel's command line and in scripts of GRUB, so blanks
// and what has a meaning there can't be.
func isLabelRune(c rune) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
}

// publisherSigns are the a-characters of ECMA-119 besides letters, digits and the blank. xorriso would make all others "_".
const publisherSigns = `!"%&'()*+,-./:;<=>?_`

func isPublisherRune(c rune) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == ' ' || strings.ContainsRune(publisherSigns, c)
}

// ISO returns the derivation of an ISO. The error has all faults of the spec, a line each, which begins with what it is
// about: "name", "volume_id", "publisher", "contents", "store_contents", "profile", "menu" or "kernel_params". Where it is
// about one file, that follows, quoted.
func ISO(spec ISOSpec) (*Derivation, error) {
	if err := spec.complete(); err != nil {
		return nil, err
	}
	var images []isoImage
	if len(spec.StoreContents) > 0 {
		objects, err := spec.objects("store", spec.storeContents(), nil)
		if err != nil {
			return nil, err
		}
		images = append(images, objects)
	}
	return spec.image(images)
}

// Check returns the faults of a spec, as ISO does.
func (spec *ISOSpec) Check() error {
	completed := *spec
	return completed.complete()
}

// ISO returns the derivation of an ISO from which the system starts. What doesn't depend on its configuration is in an image
// of its own, so that a changed configuration doesn't compress packages again. Of spec.Boot only Menu, Theme, and further
// Params are used.
func (s *System) ISO(spec ISOSpec) (*Derivation, error) {
	boot := ISOBoot{}
	if spec.Boot != nil {
		boot = *spec.Boot
	}
	spec.Boot = &boot
	if err := spec.complete(); err != nil {
		return nil, err
	}
	boot.Kernel, boot.Initrd = s.Kernel.OutputReference("image"), s.Initrd.OutputReference("out")
	start := []string{"nbuild.store=iso:" + spec.VolumeID, "nbuild.system=" + s.Placeholder("out")}
	boot.Params = slices.Concat(start, s.KernelParams, boot.Params)

	layers := []Input{{Derivation: s.PackageRoot}, {Derivation: s.UnpackedKernel}, {Derivation: s.Kernel}}
	packages, err := spec.objects("base", layers, nil)
	if err != nil {
		return nil, err
	}
	system, err := spec.objects("system", append([]Input{{Derivation: s.Derivation}}, spec.storeContents()...), layers)
	if err != nil {
		return nil, err
	}
	return spec.image([]isoImage{packages, system}, Input{Derivation: s.Derivation})
}

// An isoImage is a squashfs at nbuild/<name>.squashfs, which init mounts.
type isoImage struct {
	name string
	drv  *Derivation
}

// objects returns the image of the closure of contents without that of others.
func (spec *ISOSpec) objects(name string, contents, without []Input) (isoImage, error) {
	drv, err := Squashfs(SquashfsSpec{
		Name: name + ".squashfs", Contents: contents, Without: without, Profile: spec.Profile, Tools: spec.Packer,
	})
	return isoImage{name, drv}, err
}

func (spec *ISOSpec) storeContents() []Input {
	var inputs []Input
	for _, f := range spec.StoreContents {
		inputs = append(inputs, f.Source)
	}
	return inputs
}

// image returns the derivation of the ISO with these squashfs images. Slots that begin with "contents" are what the build
// copies, so that it looks for room before it begins.
func (spec *ISOSpec) image(images []isoImage, mentioned ...Input) (*Derivation, error) {
	inputs := map[string]Input{"root": {Derivation: spec.Tools}}
	var files, links strings.Builder
	add := func(target string, source Input, below string) {
		inputs[fmt.Sprintf("contents_%d", len(inputs))] = source
		fmt.Fprintf(&files, "%s=%s\n", target, path.Join(source.text(), below))
	}
	for _, image := range images {
		add("nbuild/"+image.name+".squashfs", Input{Derivation: image.drv}, "")
	}
	for _, f := range spec.Contents {
		add(isoTarget(f.Target), f.Source, f.Below)
	}
	for i, f := range spec.StoreContents {
		inputs[fmt.Sprintf("object_%d", i)] = f.Source
		fmt.Fprintf(&links, "%s=%s\n", isoTarget(f.Target), path.Join(f.Source.text(), f.Below))
	}
	for i, in := range mentioned {
		inputs[fmt.Sprintf("mentioned_%d", i)] = in
	}
	build := map[string]string{"script": scripts.ISO()}
	if spec.Boot != nil {
		starter, err := bootImages(spec.VolumeID, spec.Tools)
		if err != nil {
			return nil, err
		}
		inputs["boot"] = Input{Derivation: starter}
		inputs["contents_kernel"], inputs["contents_initrd"] = spec.Boot.Kernel, spec.Boot.Initrd
		if spec.Boot.Theme != (Input{}) {
			inputs["contents_theme"] = spec.Boot.Theme
		}
		build["grub.cfg"] = spec.Boot.menu()
	}
	build["files"], build["links"] = files.String(), links.String()
	copies := 100
	if spec.Compress {
		copies = 195 // The image itself is there until it is compressed, and what it has is compressed already.
	}
	return New(Spec{
		Name: spec.Name + ".iso", Builder: "sandbox", Args: shell(), Files: build, Inputs: inputs,
		Env: map[string]string{
			"name": spec.Name, "volume_id": spec.VolumeID, "publisher": spec.Publisher, "compress": chosen(spec.Compress),
			"nbuild.copies": strconv.Itoa(copies),
			selfContained:   "1",
		},
	})
}

// bootImages returns the derivation of what firmware starts: GRUB for BIOS and UEFI, which looks for the volume's label
// and reads its menu there. They don't depend on what is in the ISO.
func bootImages(volumeID string, tools *Derivation) (*Derivation, error) {
	return New(Spec{
		Name: "boot-images", Builder: "sandbox", Args: shell(),
		Env:    map[string]string{"volume_id": volumeID},
		Files:  map[string]string{"script": scripts.BootImages()},
		Inputs: map[string]Input{"root": {Derivation: tools}},
	})
}

// chosen tells a script of a choice.
func chosen(yes bool) string {
	if yes {
		return "1"
	}
	return ""
}

// complete fills in what is left out, and returns all faults.
func (spec *ISOSpec) complete() error {
	var faults []string
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if spec.VolumeID == "" {
		spec.VolumeID = VolumeID(spec.Name)
	}
	if n := len(spec.VolumeID); n > maxVolumeID {
		add("volume_id is %q: it has %d bytes, and %d fit", spec.VolumeID, n, maxVolumeID)
	}
	if i := strings.IndexFunc(spec.VolumeID, func(c rune) bool { return !isLabelRune(c) }); i >= 0 {
		add("volume_id is %q: want letters, digits and _.- without accents", spec.VolumeID)
	}
	if n := len(spec.Publisher); n > maxPublisher {
		add("publisher is %q: it has %d bytes, and %d fit", spec.Publisher, n, maxPublisher)
	}
	if strings.ContainsFunc(spec.Publisher, func(c rune) bool { return !isPublisherRune(c) }) {
		add("publisher is %q: want letters and digits without accents, blanks and %s", spec.Publisher, publisherSigns)
	}
	if spec.Profile != "" && !slices.Contains(SquashfsProfiles(), spec.Profile) {
		add("profile is %q: want %s", spec.Profile, orList(SquashfsProfiles()))
	}
	spec.checkTargets(add)
	if spec.Boot != nil {
		spec.Boot.check(add)
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s", strings.Join(faults, "\n"))
	}
	return nil
}

// checkTargets checks the files' places on the ISO.
func (spec *ISOSpec) checkTargets(add func(string, ...any)) {
	taken := map[string]string{}
	for _, list := range []struct {
		field string
		files []ISOFile
	}{{"contents", spec.Contents}, {"store_contents", spec.StoreContents}} {
		for _, f := range list.files {
			complain := func(format string, args ...any) {
				add("%s %q: "+format, append([]any{list.field, f.Target}, args...)...)
			}
			target := isoTarget(f.Target)
			if what := targetFault(target); what != "" {
				complain("%s", what)
			}
			if f.Below != "" && (!isPlainPath("/"+f.Below) || strings.ContainsFunc(f.Below, isControl)) {
				complain("the source's part %q: want a path without . and ..", f.Below)
			}
			if other, twice := taken[target]; twice {
				complain("%q has the same place on the ISO", other)
			}
			taken[target] = f.Target
		}
	}
	spec.checkLinks(add)
}

// checkLinks checks that nothing has its place below a link. What is in a folder only the build knows.
func (spec *ISOSpec) checkLinks(add func(string, ...any)) {
	for _, link := range spec.StoreContents {
		for _, f := range spec.Contents {
			if strings.HasPrefix(isoTarget(f.Target), isoTarget(link.Target)+"/") {
				add("contents %q: %q is a link of store_contents, and nothing can be below it", f.Target, link.Target)
			}
		}
		for _, f := range spec.StoreContents {
			if strings.HasPrefix(isoTarget(f.Target), isoTarget(link.Target)+"/") {
				add("store_contents %q: %q is a link, and nothing can be below it", f.Target, link.Target)
			}
		}
	}
}

// isoTarget returns a target as it is on the ISO.
func isoTarget(target string) string { return strings.TrimPrefix(target, "/") }

// targetFault returns what is wrong with a file's place on an ISO. The equals sign and the backslash are xorriso's.
func targetFault(target string) string {
	switch {
	case target == "" || !isPlainPath("/"+target):
		return "want the path of a file without ., .. and empty parts"
	case strings.ContainsFunc(target, isControl):
		return "a path on an ISO can't have control characters"
	case strings.ContainsAny(target, `=\`):
		return `a path on an ISO can't have "=" or "\"`
	}
	for _, own := range []string{"EFI", "boot", "nbuild"} {
		if first, _, _ := strings.Cut(target, "/"); strings.EqualFold(first, own) {
			return fmt.Sprintf("/%s is where the ISO has what it boots with; choose another place", own)
		}
	}
	for part := range strings.SplitSeq(target, "/") {
		if len(part) > 255 {
			return fmt.Sprintf("the name %.20q… has %d bytes, and 255 fit", part, len(part))
		}
	}
	return ""
}
