package derivations

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testSquashfs returns a spec of an image of one object without another, as change makes it.
func testSquashfs(t *testing.T, change func(*SquashfsSpec)) SquashfsSpec {
	t.Helper()
	var p Packages
	tools, err := p.ToolTree("image-tools", testPackages("squashfs-tools"))
	if err != nil {
		t.Fatal(err)
	}
	spec := SquashfsSpec{
		Name:     "image.squashfs",
		Contents: []Input{{Derivation: MustNew(Spec{Name: "a", Builder: "text"})}, {Source: "/nbuild/store/0123456789abcdfghijklmnpqrsvwxyz-src"}},
		Without:  []Input{{Derivation: MustNew(Spec{Name: "b", Builder: "text"})}},
		Tools:    tools,
	}
	if change != nil {
		change(&spec)
	}
	return spec
}

func TestSquashfsInputs(t *testing.T) {
	spec := testSquashfs(t, nil)
	drv, err := Squashfs(spec)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for slot, in := range drv.Inputs() {
		got[slot] = string(in.Source)
		if in.Derivation != nil {
			got[slot] = in.Derivation.Name()
		}
	}
	want := map[string]string{"contents_0": "a", "contents_1": string(spec.Contents[1].Source), "without_0": "b", "root": "image-tools"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	if drv.Name() != "image.squashfs" || !cmp.Equal(drv.Outputs(), []string{"out"}) {
		t.Errorf("it is %s with the outputs %v", drv.Name(), drv.Outputs())
	}
}

func TestSquashfsOptions(t *testing.T) {
	for _, test := range []struct {
		name                   string
		change                 func(*SquashfsSpec)
		options, packs, atMost string
	}{
		{"default", nil, "-comp zstd -Xcompression-level 1 -b 131072", "98", ""},
		{"dev", func(s *SquashfsSpec) { s.Profile = "dev" }, "-comp zstd -Xcompression-level 1 -b 131072", "98", ""},
		{"release", func(s *SquashfsSpec) { s.Profile = "release" }, "-comp zstd -Xcompression-level 6 -b 1048576", "78", ""},
		{"release, but for the level", func(s *SquashfsSpec) { s.Profile, s.Level = "release", 22 }, "-comp zstd -Xcompression-level 22 -b 1048576", "78", ""},
		{"block size", func(s *SquashfsSpec) { s.BlockSize = 4 }, "-comp zstd -Xcompression-level 1 -b 4096", "98", ""},
		{"lz4", func(s *SquashfsSpec) { s.Compression = "lz4" }, "-comp lz4 -b 131072", "115", ""},
		{"xz", func(s *SquashfsSpec) { s.Profile, s.Compression = "release", "xz" }, "-comp xz -b 1048576", "80", ""},
		{"none", func(s *SquashfsSpec) { s.Compression = "none" }, "-comp zstd -noI -noD -noF -b 131072", "1000", ""},
		{"at most", func(s *SquashfsSpec) { s.MaxSize = 700 }, "-comp zstd -Xcompression-level 1 -b 131072", "98", "700"},
	} {
		t.Run(test.name, func(t *testing.T) {
			drv, err := Squashfs(testSquashfs(t, test.change))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"options": test.options, "nbuild.packs": test.packs, "max_size": test.atMost, "nbuild.self_contained": "1"}
			if diff := cmp.Diff(want, drv.spec.Env); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSquashfsFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*SquashfsSpec)
		want   string
	}{
		{"nothing", func(s *SquashfsSpec) { s.Contents = nil }, "contents is empty: the image would have nothing"},
		{"profile", func(s *SquashfsSpec) { s.Profile = "fast" }, `profile is "fast": want dev or release`},
		{"compression", func(s *SquashfsSpec) { s.Compression = "brotli" }, `compression is "brotli": want zstd, lz4, xz or none`},
		{"level below", func(s *SquashfsSpec) { s.Level = -1 }, "level is -1: want 1 to 22"},
		{"level above", func(s *SquashfsSpec) { s.Level = 23 }, "level is 23: want 1 to 22"},
		{"level of xz", func(s *SquashfsSpec) { s.Level, s.Compression = 6, "xz" }, "level is 6, but only zstd has levels"},
		{"bytes for KiB", func(s *SquashfsSpec) { s.BlockSize = 131072 }, "block_size is 131072: want a power of two from 4 to 1024, in KiB"},
		{"no power of two", func(s *SquashfsSpec) { s.BlockSize = 96 }, "block_size is 96: want a power of two from 4 to 1024, in KiB"},
		{"below", func(s *SquashfsSpec) { s.BlockSize = 2 }, "block_size is 2: want a power of two from 4 to 1024, in KiB"},
		{"size", func(s *SquashfsSpec) { s.MaxSize = -1 }, "max_size is -1: want a number of MiB"},
		{
			"all at once", func(s *SquashfsSpec) { s.Profile, s.Compression, s.MaxSize = "x", "y", -1 },
			"compression is \"y\": want zstd, lz4, xz or none\nmax_size is -1: want a number of MiB\nprofile is \"x\": want dev or release",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			drv, err := Squashfs(testSquashfs(t, test.change))
			if got := fmt.Sprint(err); got != test.want || drv != nil {
				t.Errorf("Squashfs = %v, %q; want the error %q", drv, got, test.want)
			}
		})
	}
}

// What is left out means what is written out.
func TestSquashfsDefaultsAreTheSameImage(t *testing.T) {
	plain, err := Squashfs(testSquashfs(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	written, err := Squashfs(testSquashfs(t, func(s *SquashfsSpec) {
		s.Profile, s.Compression, s.Level, s.BlockSize = "dev", "zstd", 1, 128
	}))
	if err != nil {
		t.Fatal(err)
	}
	if plain.ID() != written.ID() {
		t.Error("an image with its defaults written out is another one")
	}
}
