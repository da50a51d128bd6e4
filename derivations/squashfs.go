package derivations

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"nbuild/scripts"
)

// A SquashfsSpec says what an image of store objects is made of. Squashfs doesn't keep or change its slices.
type SquashfsSpec struct {
	Name     string
	Contents []Input     // what the image has, with all that it refers to; at least one
	Without  []Input     // what it lacks, with all that this refers to, because another image has it
	Tools    *Derivation // ToolTree of ImageTools and what they depend on

	Profile     string // "dev" or "release"; empty means "dev"
	Compression string // "zstd", "lz4", "xz" or "none"; empty means zstd
	Level       int    // of zstd, 1 to 22; 0 means the profile's
	BlockSize   int    // in KiB, a power of two from 4 to 1024; 0 means the profile's
	MaxSize     int    // in MiB: the build of a larger image fails; 0 means no limit
}

// Squashfs returns the derivation of a squashfs image: nbuild/store/<object> for each object of the closure of Contents
// that is not in that of Without, and nbuild/registration. The image is the same, bit for bit, wherever it is made.
// The error has all faults of the spec, a line each, which begins with what it is about: "name", "contents", "profile",
// "compression", "level", "block_size" or "max_size".
func Squashfs(spec SquashfsSpec) (*Derivation, error) {
	if err := spec.complete(); err != nil {
		return nil, err
	}
	env := map[string]string{
		"options":      spec.options(),
		"max_size":     "",
		"nbuild.packs": strconv.Itoa(spec.percent()),
		selfContained:  "1",
	}
	if spec.MaxSize > 0 {
		env["max_size"] = strconv.Itoa(spec.MaxSize)
	}
	inputs := map[string]Input{"root": {Derivation: spec.Tools}}
	for i, in := range spec.Contents {
		inputs[fmt.Sprintf("contents_%d", i)] = in
	}
	for i, in := range spec.Without {
		inputs[fmt.Sprintf("without_%d", i)] = in
	}
	return New(Spec{
		Name: spec.Name, Builder: "sandbox", Args: shell(), Env: env, Inputs: inputs,
		Files: map[string]string{"script": scripts.Squashfs()},
	})
}

// A squashfsProfile has the level of zstd and the block size, in KiB, of images for one purpose.
type squashfsProfile struct {
	name             string
	level, blockSize int
}

// profiles returns what there is, the first being the default. Of a root of 190 MB, the images have, in MB, after seconds
// of processor time: with blocks of 128 KiB 76.7 at level 1 (0.5 s) and 73.0 at level 3 (0.8 s); with blocks of 1 MiB 66.4
// at level 3 (1.1 s), 63.4 at level 6 (2.7 s), 62.8 at level 9 (3.7 s), 62.6 at level 12 (6.4 s).
func profiles() []squashfsProfile {
	return []squashfsProfile{
		{"dev", 1, 128},
		{"release", 6, 1024},
	}
}

// A squashfsCompressor is a way to compress.
type squashfsCompressor struct {
	name    string
	options string
	percent int // what an image has of what the fastest zstd makes, rounded down from what a system does
}

func compressors() []squashfsCompressor {
	return []squashfsCompressor{
		{"zstd", "-comp zstd", 98},
		{"lz4", "-comp lz4", 115},
		{"xz", "-comp xz", 80},
		{"none", "-comp zstd -noI -noD -noF", 1000}, // all of it
	}
}

func compressor(name string) (squashfsCompressor, bool) {
	i := slices.IndexFunc(compressors(), func(c squashfsCompressor) bool { return c.name == name })
	if i < 0 {
		return squashfsCompressor{}, false
	}
	return compressors()[i], true
}

// SquashfsProfiles returns the names of the profiles that a SquashfsSpec can have.
func SquashfsProfiles() []string {
	var names []string
	for _, p := range profiles() {
		names = append(names, p.name)
	}
	return names
}

// SquashfsCompressions returns what a SquashfsSpec's Compression can be.
func SquashfsCompressions() []string {
	var names []string
	for _, c := range compressors() {
		names = append(names, c.name)
	}
	return names
}

// complete fills in what is left out, and returns all faults.
func (spec *SquashfsSpec) complete() error {
	var faults []string
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if len(spec.Contents) == 0 {
		add("contents is empty: the image would have nothing")
	}
	if spec.Compression == "" {
		spec.Compression = "zstd"
	}
	if _, ok := compressor(spec.Compression); !ok {
		add("compression is %q: want %s", spec.Compression, orList(SquashfsCompressions()))
	}
	switch {
	case spec.Level < 0 || spec.Level > 22:
		add("level is %d: want 1 to 22", spec.Level)
	case spec.Level != 0 && spec.Compression != "zstd":
		add("level is %d, but only zstd has levels", spec.Level)
	}
	if spec.BlockSize != 0 && (spec.BlockSize < 4 || spec.BlockSize > 1024 || bits.OnesCount(uint(spec.BlockSize)) != 1) {
		add("block_size is %d: want a power of two from 4 to 1024, in KiB", spec.BlockSize)
	}
	if spec.MaxSize < 0 {
		add("max_size is %d: want a number of MiB", spec.MaxSize)
	}
	if fault := spec.fillProfile(); fault != "" {
		add("%s", fault)
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s", strings.Join(faults, "\n"))
	}
	return nil
}

// fillProfile sets what the profile says and the spec doesn't.
func (spec *SquashfsSpec) fillProfile() (fault string) {
	profile := profiles()[0]
	if spec.Profile != "" {
		i := slices.IndexFunc(profiles(), func(p squashfsProfile) bool { return p.name == spec.Profile })
		if i < 0 {
			return fmt.Sprintf("profile is %q: want %s", spec.Profile, orList(SquashfsProfiles()))
		}
		profile = profiles()[i]
	}
	if spec.Level == 0 {
		spec.Level = profile.level
	}
	if spec.BlockSize == 0 {
		spec.BlockSize = profile.blockSize
	}
	return ""
}

// percent returns what the image has of what the fastest zstd makes of the same. It is low rather than high: who looks for
// room by it must not refuse what fits.
func (spec *SquashfsSpec) percent() int {
	if spec.Compression == "zstd" && spec.Level >= 6 {
		return 78
	}
	c, _ := compressor(spec.Compression)
	return c.percent
}

// options returns those of mksquashfs.
func (spec *SquashfsSpec) options() string {
	c, _ := compressor(spec.Compression)
	options := c.options
	if spec.Compression == "zstd" {
		options += " -Xcompression-level " + strconv.Itoa(spec.Level)
	}
	return options + " -b " + strconv.Itoa(spec.BlockSize<<10)
}

// orList joins names as "a, b or c".
func orList(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
