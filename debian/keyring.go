package debian

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
)

const armorBegin = "-----BEGIN PGP PUBLIC KEY BLOCK-----"

// keyring finds the keys that the archives' signatures must be by: the files named explicitly and nothing else; or what
// the machine's sources name (signedBy) and Debian's own keyring beside it, which knows the next release's keys as well;
// or, when the sources name none, the keys that APT trusts for all sources.
func (f *finder) keyring(explicit, signedBy []string) ([]Key, error) {
	before := len(f.looked)
	var keys []Key
	if len(explicit) > 0 {
		for _, name := range explicit {
			// Named by the user, so it must be there, and it doesn't lie below the root of the machine's files.
			data, err := os.ReadFile(name)
			if err != nil {
				return nil, fmt.Errorf("read keyring: %v", err)
			}
			keys = append(keys, Key{Origin: name, Data: data})
		}
	} else if err := f.findKeys(&keys, signedBy); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("find the Debian archive's keyring: no such file (looked at %s); install debian-archive-keyring or set %s to its path",
			strings.Join(f.looked[before:], ", "), KeyringVariable)
	}
	return keys, nil
}

func (f *finder) findKeys(keys *[]Key, signedBy []string) error {
	for _, by := range signedBy {
		switch {
		case strings.Contains(by, armorBegin):
			*keys = append(*keys, Key{Origin: "the Signed-By field of a source", Data: []byte(by)})
		case path.IsAbs(by):
			if err := f.addKey(keys, by); err != nil {
				return err
			}
		}
		// What remains is a fingerprint: it narrows down APT's keys, which are looked at below.
	}
	names := f.glob("/usr/share/keyrings/debian-archive-keyring.*")
	if len(*keys) == 0 {
		names = append(names, "/etc/apt/trusted.gpg")
		names = append(names, f.glob("/etc/apt/trusted.gpg.d/*.gpg")...)
		names = append(names, f.glob("/etc/apt/trusted.gpg.d/*.asc")...)
	}
	for _, name := range names {
		if err := f.addKey(keys, name); err != nil {
			return err
		}
	}
	return nil
}

// addKey appends the file unless it is missing, there already, or a GnuPG keybox, which APT doesn't read either.
func (f *finder) addKey(keys *[]Key, name string) error {
	for _, k := range *keys {
		if k.Origin == name {
			return nil
		}
	}
	data, err := f.read(name)
	if err != nil {
		return fmt.Errorf("read keyring: %v", err)
	}
	if len(data) > 0 && !bytes.HasPrefix(data[min(8, len(data)):], []byte("KBXf")) {
		*keys = append(*keys, Key{Origin: name, Data: data})
	}
	return nil
}

// readKeys parses key files, binary or armoured, each of which must have a key. Keys of kinds that OpenPGP has since added
// are passed over.
func readKeys(keys []Key) (openpgp.EntityList, error) {
	var all openpgp.EntityList
	for _, key := range keys {
		before := len(all)
		for _, block := range splitArmor(key.Data) {
			read := openpgp.ReadKeyRing
			if bytes.Contains(block, []byte(armorBegin)) {
				read = openpgp.ReadArmoredKeyRing
			}
			entities, err := read(bytes.NewReader(block))
			if err != nil {
				return nil, fmt.Errorf("read keyring %s: it is no file of OpenPGP keys: %v", key.Origin, err)
			}
			all = append(all, entities...)
		}
		if len(all) == before {
			return nil, fmt.Errorf("read keyring %s: it holds no key", key.Origin)
		}
	}
	return all, nil
}

// splitArmor cuts a file of several armoured blocks into these; of a binary file it returns the whole.
func splitArmor(data []byte) [][]byte {
	var blocks [][]byte
	for {
		i := bytes.Index(data, []byte(armorBegin))
		if i < 0 {
			break
		}
		end := len(data)
		if next := bytes.Index(data[i+len(armorBegin):], []byte(armorBegin)); next >= 0 {
			end = i + len(armorBegin) + next
		}
		blocks = append(blocks, data[i:end])
		data = data[end:]
	}
	if blocks == nil {
		return [][]byte{data}
	}
	return blocks
}
