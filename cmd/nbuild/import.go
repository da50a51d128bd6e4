package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"nbuild/internal/registration"
	"nbuild/internal/squashfs"
	"nbuild/internal/storepath"
	"nbuild/store"
)

func storeImportCommand() command {
	return command{
		name: "store import", args: "IMAGE", summary: "add the objects of an image to the store",
		details: `IMAGE is what squashfs() or "nbuild squashfs" made, on whatever machine. Every object is read and proves by its content
that it is what its store path says, before any is added; those that are in the store already are left alone. What
the objects refer to must be in the image or in the store. The paths of the objects that no other one in the image
refers to are printed. --out-link keeps these, with all that they refer to, in the store; the second link is called
LINK-2, and so on. Without it they may be collected as garbage.`,
		examples: []string{
			"nbuild squashfs && nbuild store import result --store /srv/nbuild",
			"nbuild store import web.squashfs -o imported",
		},
		flags: importFlags,
		run:   withStore(1, 1, importImage),
	}
}

func importFlags(flags *pflag.FlagSet, o *options) {
	flags.StringVarP(&o.outLink, "out-link", "o", "", "make `LINK` a symlink to the object, which keeps it in the store")
}

func importImage(ctx context.Context, o *options, s *store.Store, args []string) (err error) {
	start := time.Now()
	file := args[0]
	if !filepath.IsAbs(file) {
		file = filepath.Join(o.directory, file)
	}
	im, err := openImage(file)
	if err != nil {
		return imageError(args[0], err)
	}
	defer func() { err = errors.Join(err, im.file.Close()) }()
	tops := im.tops()
	links := make([]string, len(tops))
	if o.outLink != "" {
		for i := range tops {
			links[i] = o.linkName(o.directory, i)
		}
		if err := checkLinks(links, "--out-link names another place"); err != nil {
			return err
		}
	}
	added, err := s.Import(ctx, im.objects, im.extract)
	if err != nil {
		return imageError(args[0], err)
	}
	for i, path := range tops {
		if links[i] != "" {
			if err := s.AddRoot(ctx, links[i], path); err != nil {
				return err
			}
		}
		fmt.Fprintln(o.stdout, path)
	}
	if !o.quiet {
		fmt.Fprintf(o.stderr, "nbuild: %d imported, %d there already in %s\n", added, len(im.objects)-added, formatDuration(time.Since(start)))
	}
	return nil
}

// imageError names the image, as the user does, in an error about it.
func imageError(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("", "there is no image %s", name)
	}
	return fmt.Errorf("import %s: %w", name, err)
}

// An objectImage is an open image of store objects.
type objectImage struct {
	*squashfs.Image
	file    *os.File
	objects []store.Object // as the registration has them
	inodes  map[storepath.Path]*squashfs.Inode
}

// openImage opens an image and reads its registration.
func openImage(name string) (im *objectImage, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, usagef("", "it is not a file")
	}
	im = &objectImage{file: file, inodes: map[storepath.Path]*squashfs.Inode{}}
	if im.Image, err = squashfs.Open(file, info.Size()); err != nil {
		return nil, err
	}
	return im, im.readObjects()
}

// maxRegistration is what a registration may have: that of a million objects.
const maxRegistration = 256 << 20

// readObjects reads the registration, and finds in the image just what that says.
func (im *objectImage) readObjects() error {
	in, err := im.Lookup("nbuild/registration")
	if errors.Is(err, fs.ErrNotExist) || err == nil && !in.Mode.IsRegular() {
		return usagef("", "it has no file nbuild/registration: it is not an image of store objects")
	} else if err != nil {
		return err
	}
	if in.Size > maxRegistration {
		return usagef("", "its registration has %d bytes, more than nbuild reads", in.Size)
	}
	var text bytes.Buffer
	if err := im.WriteTo(&text, in); err != nil {
		return err
	}
	registered, err := registration.Parse(text.Bytes())
	if err != nil {
		return usagef("", "%v", err)
	}
	for _, e := range registered {
		im.objects = append(im.objects, store.Object{Path: e.Path, Digest: e.Digest, Size: e.Size, References: e.References})
		im.inodes[e.Path] = nil
	}
	return im.findObjects()
}

func (im *objectImage) findObjects() error {
	folder, err := im.Lookup("nbuild/store")
	if err != nil {
		return err
	}
	entries, err := im.Entries(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := storepath.Path(storepath.Prefix + "/" + e.Name)
		if _, ok := im.inodes[path]; !ok {
			return usagef("", "%s is in it, but not registered", path)
		}
		if im.inodes[path], err = im.Inode(e); err != nil {
			return err
		}
	}
	for _, o := range im.objects {
		if im.inodes[o.Path] == nil {
			return usagef("", "%s is registered, but not in it", o.Path)
		}
	}
	return nil
}

func (im *objectImage) extract(ctx context.Context, o store.Object, file string) error {
	if err := im.Extract(ctx, im.inodes[o.Path], file, o.Size); err != nil {
		return fmt.Errorf("%s: %w", o.Path, err)
	}
	return nil
}

// tops returns the objects that no other one in the image refers to.
func (im *objectImage) tops() []storepath.Path {
	inside := map[storepath.Path]bool{}
	for _, o := range im.objects {
		for _, r := range o.References {
			inside[r] = true
		}
	}
	var tops []storepath.Path
	for _, o := range im.objects {
		if !inside[o.Path] {
			tops = append(tops, o.Path)
		}
	}
	return tops
}
