//go:build e2e

package e2e

import (
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// updateScreens makes the references in testdata/screens of what machines show now. Look at them before they are kept.
var updateScreens = flag.Bool("update-screens", false, "write the pictures of screens that tests compare with")

// rgba returns a picture with its pixels as bytes.
func rgba(picture image.Image) *image.RGBA {
	if same, ok := picture.(*image.RGBA); ok {
		return same
	}
	copied := image.NewRGBA(picture.Bounds())
	draw.Draw(copied, copied.Rect, picture, picture.Bounds().Min, draw.Src)
	return copied
}

// isPlain reports whether all pixels, of four bytes each, are the same.
func isPlain(pixels []byte) bool {
	for i, b := range pixels {
		if b != pixels[i%4] {
			return false
		}
	}
	return true
}

// mean returns the average colour of a part of a picture.
func mean(picture *image.RGBA, part image.Rectangle) (red, green, blue int) {
	n := 0
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			c := picture.RGBAAt(x, y)
			red, green, blue, n = red+int(c.R), green+int(c.G), blue+int(c.B), n+1
		}
	}
	return red / n, green / n, blue / n
}

// countColour counts the pixels of a colour.
func countColour(picture *image.RGBA, part image.Rectangle, want color.RGBA) (n int) {
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if picture.RGBAAt(x, y) == want {
				n++
			}
		}
	}
	return n
}

// changed returns the smallest rectangle that has all differences between pictures of one size.
func changed(before, after *image.RGBA) (part image.Rectangle) {
	for y := range before.Rect.Dy() {
		for x := range before.Rect.Dx() {
			if before.RGBAAt(x, y) != after.RGBAAt(x, y) {
				part = part.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return part
}

// checkBackground compares parts of a picture, in squares, with the same parts of a background that fills it. How an image
// is scaled makes a difference of one or two in a square's average.
func checkBackground(picture, background *image.RGBA, parts []image.Rectangle) error {
	const square, tolerance = 32, 4
	width, height := picture.Rect.Dx(), picture.Rect.Dy()
	scaled := func(x, y int) image.Point {
		return image.Pt(x*background.Rect.Dx()/width, y*background.Rect.Dy()/height)
	}
	for _, part := range parts {
		for y := part.Min.Y; y+square <= part.Max.Y; y += square {
			for x := part.Min.X; x+square <= part.Max.X; x += square {
				r, g, b := mean(picture, image.Rect(x, y, x+square, y+square))
				wantR, wantG, wantB := mean(background, image.Rectangle{scaled(x, y), scaled(x+square, y+square)})
				if max(distance(r, wantR), distance(g, wantG), distance(b, wantB)) > tolerance {
					return fmt.Errorf("the background at %d,%d has the colour %d %d %d, want %d %d %d", x, y, r, g, b, wantR, wantG, wantB)
				}
			}
		}
	}
	return nil
}

func distance(a, b int) int { return max(a-b, b-a) }

// shrunk returns a grey picture that is smaller by a factor, small enough to be kept with the tests.
func shrunk(picture *image.RGBA) *image.Gray {
	const factor = 4
	small := image.NewGray(image.Rect(0, 0, picture.Rect.Dx()/factor, picture.Rect.Dy()/factor))
	for y := range small.Rect.Dy() {
		for x := range small.Rect.Dx() {
			r, g, b := mean(picture, image.Rect(x*factor, y*factor, (x+1)*factor, (y+1)*factor))
			small.SetGray(x, y, color.GrayModel.Convert(color.RGBA{uint8(r), uint8(g), uint8(b), 255}).(color.Gray))
		}
	}
	return small
}

// checkReference compares a picture with one that somebody looked at, in grey and smaller. A program that draws a little
// differently makes a few pixels differ; another font makes hundreds.
func checkReference(picture *image.RGBA, reference *image.Gray) error {
	const tolerance, few = 6, 40
	got := shrunk(picture)
	if got.Rect != reference.Rect {
		return fmt.Errorf("it is %v in small, want %v", got.Rect.Max, reference.Rect.Max)
	}
	n, where := 0, image.Rectangle{}
	for i := range got.Pix {
		if distance(int(got.Pix[i]), int(reference.Pix[i])) > tolerance {
			x, y := i%got.Stride, i/got.Stride
			n, where = n+1, where.Union(image.Rect(x, y, x+1, y+1))
		}
	}
	if n > few {
		return fmt.Errorf("%d pixels of the small picture are not those of the reference, within %v", n, where)
	}
	return nil
}

func referenceFile(name string) string { return filepath.Join("testdata", "screens", name+".png") }

// keepReference makes a picture the one that others are compared with from now on.
func keepReference(t *testing.T, name string, picture *image.RGBA) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(referenceFile(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(referenceFile(name))
	if err != nil {
		t.Fatal(err)
	}
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := errors.Join(encoder.Encode(file, shrunk(picture)), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// reference returns the picture that is kept under a name.
func reference(t *testing.T, name string) *image.Gray {
	t.Helper()
	kept, ok := readPicture(t, referenceFile(name)).(*image.Gray)
	if !ok {
		t.Fatalf("%s is not grey", referenceFile(name))
	}
	return kept
}

func readPicture(t *testing.T, name string) image.Image {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return picture
}
