package config

import "testing"

// A file's name may be anything; the store object made of it may not.
func TestStoreName(t *testing.T) {
	tests := []struct{ file, want string }{
		{"hello-1.0.tar.gz", "hello-1.0.tar.gz"},
		{".config", "config"},
		{"a b/ä", "a-b--"},
		{"...", "source"},
		{"", "source"},
	}
	for _, test := range tests {
		if got := storeName(test.file); got != test.want {
			t.Errorf("storeName(%q) = %q, want %q", test.file, got, test.want)
		}
	}
}

func TestArchiveName(t *testing.T) {
	tests := []struct{ file, want, format string }{
		{"hello-1.0.tar.gz", "hello-1.0", "tar"},
		{"hello-1.0.tar.zst", "hello-1.0", "tar"},
		{"hello-1.0.tar", "hello-1.0", "tar"},
		{"hello.tgz", "hello", "tar"},
		{"hello.zip", "hello", "zip"},
		{"hello_1_amd64.deb", "hello_1_amd64", "deb"},
		{"hello.gz", "hello", ""},
		{".tar", ".tar", ""},
		{"hello", "hello", ""},
	}
	for _, test := range tests {
		if got := archiveName(test.file); got != test.want {
			t.Errorf("archiveName(%q) = %q, want %q", test.file, got, test.want)
		}
		if got := archiveFormat(test.file); got != test.format {
			t.Errorf("archiveFormat(%q) = %q, want %q", test.file, got, test.format)
		}
	}
}

func TestPackageNames(t *testing.T) {
	for name, want := range map[string]bool{
		"gcc": true, "g++": true, "libc6-dev": true, "0ad": true, "gcc=4:14.2.0-1": true, "lib~x": false,
		"": false, "a": false, "GCC": false, "-x": false, "a b": false, "gcc=": false, "gcc=1 2": false, "../x": false,
	} {
		if got := isPackageName(name); got != want {
			t.Errorf("isPackageName(%q) = %t", name, got)
		}
	}
}
