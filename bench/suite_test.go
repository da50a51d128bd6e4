package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReplaceOption(t *testing.T) {
	tests := []struct {
		name, text, want string
		fails            bool
	}{
		{name: "first", text: "a = system(\n    modules = [{\n    }],\n)\n", want: "a = system(\n    modules = [{ \"networking.host_name\": \"new\",\n    }],\n)\n"},
		{name: "again", text: "    modules = [{ \"networking.host_name\": \"old\",\n", want: "    modules = [{ \"networking.host_name\": \"new\",\n"},
		{name: "none", text: "a = system()\n", fails: true},
		{name: "two", text: "modules = [{\n}]\nmodules = [{\n", fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := replaceOption([]byte(tt.text), "networking.host_name", "new")
			if (err != nil) != tt.fails {
				t.Fatalf("replaceOption: %v, want an error: %v", err, tt.fails)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("project (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParsePackages(t *testing.T) {
	got, err := parsePackages([]byte(`{"packages": [{"name": "bash", "version": "5.2"}, {"name": "dash"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bash", "dash"}, got); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	for _, bad := range []string{`{}`, `[`, `{"packages": []}`} {
		if _, err := parsePackages([]byte(bad)); err == nil {
			t.Errorf("parsePackages(%s) gave no error", bad)
		}
	}
}
