package debian

import (
	"cmp"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestCompareVersions(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		// From dpkg's own tests (t-version.c and Dpkg_Version.t).
		{"0-0", "0-00", 0},
		{"00-0", "0-00", 0},
		{"1:2-3", "1:2-3", 0},
		{"0:0-0", "1:0-0", -1},
		{"0:a-0", "0:b-0", -1},
		{"0:0-a", "0:0-b", -1},
		{"1.0-1", "2.0-2", -1},
		{"2.2~rc-4", "2.2-1", -1},
		{"2.2-1", "2.2~rc-4", 1},
		{"1.0000-1", "1.0-1", 0},
		{"1", "0:1", 0},
		{"0", "0:0-0", 0},
		{"2:2.5", "1:7.5", 1},
		{"1:0foo", "0foo", 1},
		{"0:0foo", "0foo", 0},
		{"0foo", "0foo-0", 0},
		{"0foo", "0fo", 1},
		{"0foo", "0foo+", -1},
		{"0foo+", "0foo-", 1},
		{"0foo~1", "0foo", -1},
		{"0foo~foo+Bar", "0foo~foo+bar", -1},
		{"0foo~~", "0foo~", -1},
		{"1~", "1", -1},
		{"12345+that-really-is-some-ver-0", "12345+that-really-is-some-ver-10", -1},
		{"0foo-0", "0foo-01", -1},
		{"0foo.bar", "0foobar", 1},
		{"0foo1bar-1", "0foo12bar-1", -1},
		{"0foo2.0", "0foo2", 1},
		{"0foo2.0.0", "0foo2.10.0", -1},
		{"0foo2.0.0", "0foo2.0.0", 0},
		{"0foo2.0", "0foo10", -1},
		{"0foo2.1", "0foo2.10", -1},
		{"1.09", "1.9", 0},
		{"1.0.8+nmu1", "1.0.8", 1},
		{"3.11", "3.10+nmu1", 1},
		{"0.9j-20080306-4", "0.9i-20070324-2", 1},
		{"1.2.0~b7-1", "1.2.0~b6-1", 1},
		{"1.011-1", "1.06-2", 1},
		{"0.0.9+dfsg1-1", "0.0.8+dfsg1-3", 1},
		{"4.6.99+svn6582-1", "4.6.99+svn6496-1", 1},
		{"53", "52", 1},
		{"1:5.2.0-3", "1:5.2.0-3+deb13u1", -1},
		// From trixie: what security, stable and rebuilds without sources look like.
		{"6.12.48-1", "6.12.57-1", -1},
		{"2.41-12", "2.41-12+deb13u1", -1},
		{"1.3.dfsg+really1.3.1-1+b1", "1.3.dfsg+really1.3.1-1", 1},
		{"99999999999999999999999", "100000000000000000000000", -1},
	}
	for _, test := range tests {
		if got := CompareVersions(test.a, test.b); got != test.want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
		if got := CompareVersions(test.b, test.a); got != -test.want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", test.b, test.a, got, -test.want)
		}
	}
}

func TestValidateVersion(t *testing.T) {
	good := []string{"0", "0:0", "5:1", "0:0-0-0-0", "0:0:0:0-0", "0:09azAZ.-+~:-0", "0:0-azAZ09.+~", "0:0-", "6.12.57-1"}
	for _, s := range good {
		if err := ValidateVersion(s); err != nil {
			t.Errorf("ValidateVersion(%q) = %v, want nil", s, err)
		}
	}
	bad := []string{"", " ", "0:", "0:0 0-1", "-1:0-1", "999999999999999999999999:0-1", "a:0-0", "A:0-0", "-0", "0:-0", "0:abc3-0", "0:0-0:0", ":1"}
	for _, c := range "!#@$%&/|\\<>()[]{};,_=*^'" {
		bad = append(bad, "0:0"+string(c)+"-0", "0:0-"+string(c))
	}
	for _, s := range bad {
		if ValidateVersion(s) == nil {
			t.Errorf("ValidateVersion(%q) = nil, want an error", s)
		}
	}
}

// naiveCompare is the policy manual's text made into code with regular expressions and big numbers, for the fuzzer.
func naiveCompare(a, b string) int {
	parts := func(s string) [3]string {
		m := regexp.MustCompile(`(?s)^(?:([^:]*):)?(.*?)(?:-([^-]*))?$`).FindStringSubmatch(s)
		return [3]string(m[1:])
	}
	number := func(s string) *big.Int {
		n, _ := new(big.Int).SetString("0"+s, 10)
		return n
	}
	piece := regexp.MustCompile(`(?s)^([^0-9]*)([0-9]*)(.*)$`)
	weight := func(c byte) []int {
		switch {
		case c == '~':
			return []int{-1}
		case strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c) >= 0:
			return []int{1, int(c)}
		}
		return []int{2, int(c)}
	}
	part := func(a, b string) int {
		for a != "" || b != "" {
			ma, mb := piece.FindStringSubmatch(a), piece.FindStringSubmatch(b)
			for i := range max(len(ma[1]), len(mb[1])) {
				wa, wb := []int{0}, []int{0}
				if i < len(ma[1]) {
					wa = weight(ma[1][i])
				}
				if i < len(mb[1]) {
					wb = weight(mb[1][i])
				}
				if c := slices.Compare(wa, wb); c != 0 {
					return c
				}
			}
			if c := number(ma[2]).Cmp(number(mb[2])); c != 0 {
				return c
			}
			a, b = ma[3], mb[3]
		}
		return 0
	}
	pa, pb := parts(a), parts(b)
	return cmp.Or(number(pa[0]).Cmp(number(pb[0])), part(pa[1], pb[1]), part(pa[2], pb[2]))
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("1:2.3-4", "1:2.3~rc1-4+b1")
	f.Add("0foo~~", "0foo~")
	f.Add("1.0-", "1.0-0")
	f.Fuzz(func(t *testing.T, a, b string) {
		got := CompareVersions(a, b)
		if back := CompareVersions(b, a); back != -got {
			t.Errorf("CompareVersions(%q, %q) = %d, but %d the other way round", a, b, got, back)
		}
		if ValidateVersion(a) != nil || ValidateVersion(b) != nil {
			return
		}
		if want := naiveCompare(a, b); got != want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", a, b, got, want)
		}
	})
}
