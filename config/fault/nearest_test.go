package fault

import "testing"

func TestDidYouMean(t *testing.T) {
	known := []string{"outputs", "inputs", "script", "scripts", "name", "env", "kernel", "kernel_params", "host_name"}
	tests := []struct{ name, want string }{
		{"ouputs", `did you mean "outputs"?`},
		{"script", `did you mean "script"?`},
		{"scrpt", `did you mean "script"?`},
		{"Name", `did you mean "name"?`},
		{"kernel_parameters", `did you mean "kernel_params"?`},
		{"hostname", `did you mean "host_name"?`},
		{"nmae", `did you mean "name"?`},
		{"kernle", `did you mean "kernel"?`},
		{"zzz", ""},
		{"", ""},
	}
	for _, test := range tests {
		if got := DidYouMean(test.name, known); got != test.want {
			t.Errorf("DidYouMean(%q) = %s, want %s", test.name, got, test.want)
		}
	}
}

// naiveDistance is the definition of the distance, and takes exponential time.
func naiveDistance(a, b string) int {
	if a == "" || b == "" {
		return len(a) + len(b)
	}
	change := naiveDistance(a[1:], b[1:])
	if a[0] != b[0] {
		change++
	}
	best := min(change, naiveDistance(a[1:], b)+1, naiveDistance(a, b[1:])+1)
	if len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0] {
		best = min(best, naiveDistance(a[2:], b[2:])+1)
	}
	return best
}

func FuzzDistance(f *testing.F) {
	f.Add("kernel", "kernle")
	f.Add("", "a")
	f.Add("abcab", "bacba")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 7 || len(b) > 7 {
			t.Skip("too long for the naive way")
		}
		if got, want := distance(a, b), naiveDistance(a, b); got != want {
			t.Errorf("distance(%q, %q) = %d, want %d", a, b, got, want)
		}
	})
}
