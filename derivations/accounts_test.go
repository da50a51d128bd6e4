package derivations

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A number of the tables that changes, or goes to another name, takes files on people's disks from their owners.
func TestKeptNumbersStay(t *testing.T) {
	kept := newKeptNumbers()
	table := func(numbers map[string]int) string {
		var rows []string
		for name, id := range numbers {
			rows = append(rows, fmt.Sprintf("%5d %s\n", id, name))
		}
		slices.Sort(rows)
		return strings.Join(rows, "")
	}
	compareGolden(t, "testdata/ids.golden", "users:\n"+table(kept.users)+"groups:\n"+table(kept.groups))
}

// The tables are of several origins: none may have a number that another one has for a different name.
func TestKeptNumbersAreDistinct(t *testing.T) {
	kept := newKeptNumbers()
	for noun, numbers := range map[string]map[string]int{"uid": kept.users, "gid": kept.groups} {
		owner := map[int]string{}
		for _, name := range slices.Sorted(maps.Keys(numbers)) {
			id := numbers[name]
			if other, taken := owner[id]; taken {
				t.Errorf("%s %d is that of %s and of %s", noun, id, other, name)
			}
			owner[id] = name
			if derived := id >= derivedServices && id < derivedServicesEnd || id >= derivedPeople && id < derivedPeopleEnd; derived {
				t.Errorf("%s %d of %s is where numbers follow from names", noun, id, name)
			}
		}
	}
	for name, id := range pooledNames() {
		for _, u := range sysusers() {
			if (u.name == name) != (u.id == id) {
				t.Errorf("%s has %d in one table, %s has %d in another", name, id, u.name, u.id)
			}
		}
	}
}

func TestNumber(t *testing.T) {
	tests := []struct {
		name string
		got  int
		want int
	}{
		{"given", User{Name: "ann", UID: 1234}.Number(), 1234},
		{"a person's", User{Name: "ann"}.Number(), 27042},
		{"another person's", User{Name: "ben"}.Number(), 8575},
		{"a service's", User{Name: "app", System: true}.Number(), 613},
		{"people's group", Group{Name: "ann"}.Number(), 27042},
		{"a service's group", Group{Name: "app", System: true}.Number(), 613},
		{"a package's", User{Name: "postgres"}.Number(), 453},
		{"Debian's", User{Name: "www-data", System: true}.Number(), 33},
		{"root's", User{Name: "root"}.Number(), 0},
		{"Debian's user", User{Name: "man"}.Number(), 6},
		{"Debian's group of the same name", Group{Name: "man"}.Number(), 12},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: %d, want %d", test.name, test.got, test.want)
		}
	}
}

// Numbers have to be spread over their ranges, or names would meet more often than chance has it.
func TestDerivedNumbersAreSpread(t *testing.T) {
	for _, system := range []bool{false, true} {
		first, end := derivedPeople, derivedPeopleEnd
		if system {
			first, end = derivedServices, derivedServicesEnd
		}
		count := make([]int, 10)
		for i := range 10000 {
			id := User{Name: fmt.Sprintf("user%d", i), System: system}.number(keptNumbers{})
			if id < first || id >= end {
				t.Fatalf("user%d has %d, want %d to %d", i, id, first, end-1)
			}
			count[(id-first)*10/(end-first)]++
		}
		for tenth, n := range count {
			// 1000 are expected, with a standard deviation of 30.
			if n < 850 || n > 1150 {
				t.Errorf("%d of 10000 names are in tenth %d of %d to %d", n, tenth, first, end-1)
			}
		}
	}
}

func TestAccountFaults(t *testing.T) {
	tests := []struct {
		name   string
		users  []User
		groups []Group
		want   []string
	}{
		{name: "none", users: []User{
			{Name: "ann"},
			{Name: "ben", UID: 1000, Group: "users", Groups: []string{"Debian-exim", "a.b"}},
			{Name: "app", System: true, UID: 350},
			{Name: "www-data", UID: 33},
			{Name: "postgres", System: true, UID: 453},
			{Name: "root", Shell: "/bin/sh", Home: "/root", Group: "root", Groups: []string{"adm"}},
		}, groups: []Group{{Name: "ben", GID: 1001}, {Name: "ann", Members: []string{"Debian-exim"}}, {Name: "video", GID: 44}, {Name: "s", System: true}}},
		{
			name:  "numbers",
			users: []User{{Name: "a", UID: 999}, {Name: "b", UID: 60001}, {Name: "c", UID: -1}, {Name: "d", UID: 1000, System: true}, {Name: "e", UID: 453, System: true}, {Name: "daemon", UID: 2}},
			groups: []Group{
				{Name: "f", GID: 44, System: true}, {Name: "g", GID: 7}, {Name: "video", GID: 45},
			},
			want: []string{
				"user a: uid 999: want 1000 to 60000", "user b: uid 60001: want 1000 to 60000", "user c: uid -1: want 1000 to 60000",
				"user d: uid 1000: want 1 to 999 for a service's account", "user e: uid 453 is kept for postgres, of Debian; choose another",
				"user daemon: uid 2: Debian's account of that name has 1; leave it out",
				"group f: gid 44 is kept for video, of Debian; choose another", "group g: gid 7: want 1000 to 60000",
				"group video: gid 45: Debian's account of that name has 44; leave it out",
			},
		},
		{
			name:   "one number twice",
			users:  []User{{Name: "a", UID: 1500}, {Name: "b", UID: 1500}, {Name: "ann", Group: "users"}, {Name: "c", UID: 27042}, {Name: "d", UID: 1600}},
			groups: []Group{{Name: "d", GID: 1700}, {Name: "g", GID: 1500}, {Name: "h", GID: 1700}},
			want: []string{
				"group h: gid 1700 is that of d, too; set the gid of one of them to another number",
				"user a: gid 1500 is that of g, too; set the gid of one of them to another number",
				"user b: uid 1500 is that of a, too; set the uid of one of them to another number",
				"user c: uid 27042 is that of ann, too; set the uid of one of them to another number",
			},
		},
		{
			name:   "names twice",
			users:  []User{{Name: "ann"}, {Name: "ann"}},
			groups: []Group{{Name: "g"}, {Name: "g"}},
			want:   []string{"group g: is there twice", "user ann: is there twice"},
		},
		{
			name:   "names",
			users:  []User{{Name: "Ann"}, {Name: ""}, {Name: "1a"}, {Name: strings.Repeat("x", 33)}, {Name: "a", Group: "g:h"}},
			groups: []Group{{Name: "a b"}, {Name: "g", Members: []string{"x,y"}}},
			want: []string{
				`user "Ann": want a name`, `user "": want a name`, `user "1a": want a name`, `user "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": want a name`,
				`user a: "g:h" can't be the name of a group`, `group "a b": want a name`, `group g: "x,y" can't be the name of a user`,
			},
		},
		{
			name:  "texts",
			users: []User{{Name: "a", Gecos: "A\tB"}, {Name: "b", Home: "home", HashedPassword: "plain"}, {Name: "c", Shell: "/bin/../sh", AuthorizedKeys: []string{" "}}, {Name: "root", Group: "users"}},
			want: []string{
				`user a: the full name "A\tB" has a colon or a control character`, "user b: the hashed password is not one that crypt(5) knows",
				`user b: home "home" and shell ""`, `user c: home "" and shell "/bin/../sh"`, `user c: authorized key " "`,
				"user root: its home is /root and its group root",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var c specCheck
			c.accounts(&SystemSpec{Users: test.users, Groups: test.groups})
			if len(c.faults) != len(test.want) {
				t.Fatalf("faults (-want +got):\n%s", cmp.Diff(test.want, c.faults))
			}
			for i, want := range test.want {
				if !strings.HasPrefix(c.faults[i], want) {
					t.Errorf("fault %d: %s\nwant %s", i, c.faults[i], want)
				}
			}
		})
	}
}

// Whoever comes or goes, the others keep their numbers.
func TestAccountsDontDependOnEachOther(t *testing.T) {
	rows := func(users []User, groups []Group) map[string]string {
		s := newTestSystem(t, func(spec *SystemSpec) { spec.Users, spec.Groups, spec.Files = users, groups, nil })
		rows := map[string]string{}
		for _, table := range []string{"users", "groups"} {
			for line := range strings.Lines(s.TopLayer.spec.Files[table]) {
				name, row, _ := strings.Cut(line, ":")
				rows[table+" "+name] = row
			}
		}
		return rows
	}
	few := rows([]User{{Name: "ben"}, {Name: "app", System: true}}, []Group{{Name: "devs"}})
	many := rows([]User{{Name: "ann"}, {Name: "ben"}, {Name: "carl"}, {Name: "app", System: true}, {Name: "bpp", System: true}}, []Group{{Name: "all"}, {Name: "devs"}})
	if len(few) != 3 || len(many) != 7 {
		t.Fatalf("%d and %d rows, want 3 and 7", len(few), len(many))
	}
	for name, row := range few {
		if many[name] != row {
			t.Errorf("%s: %q alone, %q among others", name, row, many[name])
		}
	}
}
