//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// everything is a project whose system uses most of the options that nbuild's own modules declare.
const everything = `
greet = derivation("greet", script = "mkdir -p $out/bin; printf '#!/bin/sh\necho greetings\n' >$out/bin/greet; chmod +x $out/bin/greet")
_motd = text_file("motd", "Welcome.\n")

_base = {
    "boot": {
        "kernel_modules": ["vrf"],
        "blacklisted_kernel_modules": ["macvlan"],
        "sysctl": {"vm.swappiness": 7, "net.ipv4.ip_forward": True},
        "kernel_params": ["test.marker=declared"],
    },
    "environment": {
        "packages": ["file", "iputils-ping", greet],
        "etc": {"motd": {"source": _motd}, "test.conf": {"text": "declared\n", "mode": "0640", "group": "adm"}},
        "variables": {"GREETING": "two words", "TOOL": greet + "/bin/greet"},
    },
    "networking": {
        "host_name": "everything",
        "domain": "example.org",
        "hosts": {"192.0.2.20": ["database.example.org", "database"]},
        "interfaces.static*": {"addresses": ["192.0.2.10/24", "2001:db8::10/64"], "required_for_online": False},
        "firewall": {"allowed_tcp_ports": [8001], "trusted_interfaces": ["trusted*"]},
    },
    "time.zone": "Europe/Berlin",
    "time.ntp.enable": True,
    "locale": {"default": "en_US.UTF-8", "supported": ["de_DE.UTF-8"], "settings": {"LC_PAPER": "de_DE.UTF-8"}},
    "console": {"keymap": "de", "keymap_variant": "nodeadkeys", "font": "Lat15-Fixed16"},
    "file_systems": {"/nowhere": {"device": "LABEL=nowhere", "fs_type": "ext4"}},
    "swap_devices": [{"device": "LABEL=nowhere"}],
    "nbuild": {"label": "first of all", "manifest": {"owner": "tests"}},
    "virtualisation.vm_variant": {"environment.etc.variant.text": "machine\n"},
}

_users = {
    "users": {
        "mutable_users": False,
        "users": {
            "ann": {"uid": 1234, "sudo": True, "description": "Ann Example"},
            "bob": {"groups": ["adm"], "shell": "/bin/sh"},
            "worker": {"system": True, "home": "/var/lib/worker", "create_home": True, "group": "workers"},
        },
        "groups": {"workers": {"gid": 4321, "members": ["bob"]}},
    },
    "security.sudo.extra_rules": [{"users": ["bob"], "run_as": "worker", "commands": ["/usr/bin/id -un"], "password": False}],
}

_units = {
    "systemd": {
        "services": {
            "script": {
                "wanted_by": ["multi-user.target"],
                "after": ["systemd-tmpfiles-setup.service"],
                "environment": {"NASTY": "a\"b\\c\nd%e$f 'g'", "NUMBER": 7},
                "path": [greet],
                "credentials": {"token": secret("/run/keys/token")},
                "pre_start": "mkdir -p /run/script",
                "script": """
printf %s "$NASTY$NUMBER" >/run/script/nasty
greet >/run/script/greeting
cp "$CREDENTIALS_DIRECTORY/token" /run/script/token
false
touch /run/script/too-far
""",
                "post_stop": "echo $EXIT_STATUS >/run/script/status",
                "service_config": {"Type": "oneshot", "SuccessExitStatus": 1, "RemainAfterExit": True},
            },
            "words": {
                "wanted_by": ["script.service"],
                "exec_start": ["/usr/bin/printf", "%s|", "100%", "$HOME", "a b", "\"", "\\", "'", ";"],
                "service_config": {"Type": "oneshot", "StandardOutput": "file:/run/words", "RemainAfterExit": True},
            },
            "systemd-logind": {"drop_in": True, "environment": {"ADDED": "yes"}},
            "systemd-pstore": {"enable": False},
            "answer@": {"exec_start": "/usr/bin/printf answer", "service_config": {"StandardInput": "socket"}},
            "refuse@": {"exec_start": "/usr/bin/printf answer", "service_config": {"StandardInput": "socket"}},
            "watched": {"script": "echo seen >/run/answer", "service_config": {"Type": "oneshot", "RemainAfterExit": True}},
        },
        "sockets": {
            "answer": {"listen_streams": [8001], "socket_config": {"Accept": True}},
            "refuse": {"listen_streams": [8002], "socket_config": {"Accept": True}},
        },
        "paths.watched.path_config": {"PathExists": "/run/watch-me"},
        "mounts": {"/srv/my-scratch": {"what": "scratch", "type": "tmpfs", "options": ["size=1m", "mode=0750"]}},
        "targets.together": {"description": "Together", "wants": ["words.service"], "wanted_by": ["multi-user.target"]},
        "units": {"work.slice": "[Slice]\nCPUWeight=20"},
        "jobs": {"tick": {"calendar": "*:*:0/4", "script": "[ ! -p /run/ask ] || id -un >/run/ask", "user": "ann"}},
        "timers.tick.timer_config": {"AccuracySec": "100ms"},
        "tmpfiles.rules": [
            "d /srv/made 0750 ann workers -",
            "d /run/keys 0700 root root -",
            "f /run/keys/token 0600 root root - hush",
        ],
        "masked_units": ["fstrim.timer", "tmp.mount"],
    },
}

everything = system("everything", modules = [_base, _users, _units])
`

// TestModules boots a system that uses most of the built-in modules, and looks at what they promise.
func TestModules(t *testing.T) {
	t.Parallel()
	p := newProject(t, user{name: "this user"})
	p.write("nbuild.star", everything)
	p.nbuild("vm")
	g := startGuest(t, p.runner("everything"))
	t.Run("first boot", func(t *testing.T) {
		g.in(t, func() {
			checkIsRunning(g)
			checkDeclaredBase(g)
			checkDeclaredNetwork(g)
			checkDeclaredUsers(g)
			checkDeclaredUnits(g)
			// What the next start puts back, and what it doesn't.
			g.check("useradd eve && echo ann:changed | chpasswd && echo kept >/srv/kept && sync && getent passwd eve | cut -d: -f1", "eve")
		})
	})
	g.in(t, g.poweroff)
	g = startGuest(t, p.runner("everything"))
	t.Run("second boot", func(t *testing.T) {
		g.in(t, func() {
			checkIsRunning(g)
			g.check("cat /srv/kept; getent passwd eve || echo gone; getent shadow ann | cut -d: -f2", "kept\ngone\n!")
			checkDeclaredUsers(g)
		})
	})
	g.in(t, g.poweroff)
}

func checkIsRunning(g *guest) {
	g.t.Helper()
	if state, _ := g.run("systemctl is-system-running --wait"); state != "running" {
		failed, _ := g.run("systemctl status --failed --no-pager --lines=50 --full; journalctl -b -p err --no-pager | tail -20")
		g.t.Errorf("the system is %q\n%s", state, failed)
	}
	g.check("systemctl --failed --no-legend --no-pager", "")
}

func checkDeclaredBase(g *guest) {
	g.t.Helper()
	g.check("hostname; hostname -f 2>/dev/null || getent hosts everything | awk '{ print $2 }'", "everything\neverything.example.org")
	g.check("cat /etc/motd; stat -c '%a %U:%G' /etc/test.conf; greet", "Welcome.\n640 root:adm\ngreetings")
	g.check("su - bob -c 'echo \"$GREETING\"; $TOOL; echo $LANG'", "two words\ngreetings\nen_US.UTF-8")
	g.check("sysctl -n vm.swappiness net.ipv4.ip_forward", "7\n1")
	g.check("test -d /sys/module/vrf && modprobe --showconfig | grep -x 'blacklist macvlan'", "blacklist macvlan")
	g.check("grep -o 'quiet\\|test[.][a-z]*=[a-z]*' /proc/cmdline", "quiet\ntest.marker=declared")
	g.check("timedatectl show -p Timezone -p NTP; date -d @0 +%R", "Timezone=Europe/Berlin\nNTP=yes\n01:00")
	g.check("systemctl is-active systemd-timesyncd.service", "active")
	g.check("locale -a | grep _ | sort; LC_ALL=de_DE.UTF-8 date -d 2024-03-05 +%B; su - bob -c 'locale -k LC_PAPER | head -n 1'", "de_DE.utf8\nen_US.utf8\nMärz\nheight=297")
	g.check("systemctl is-active console-keymap.service; dumpkeys | grep -m1 'keycode  21 =' | tr -s ' ' | cut -d' ' -f4", "active\n+z")
	g.check("localectl status | grep -o 'LANG=.*\\|X11 Layout.*\\|X11 Variant.*' | head -n 3", "LANG=en_US.UTF-8\nX11 Layout: de\nX11 Variant: nodeadkeys")
	g.check("cat /etc/fstab; swapon --noheadings; cat /etc/variant", "machine")
	g.check("grep -o '\"first of all\"\\|\"owner\": \"tests\"' /run/nbuild/system/manifest.json", "\"first of all\"\n\"owner\": \"tests\"")
}

func checkDeclaredNetwork(g *guest) {
	g.t.Helper()
	g.check("getent hosts database.example.org | tr -s ' '; readlink /etc/resolv.conf", "192.0.2.20 database.example.org database\n../run/systemd/resolve/stub-resolv.conf")
	g.check("ip link add static0 type dummy && timeout 60 /usr/lib/systemd/systemd-networkd-wait-online -i static0:degraded; ip -br address show static0 | grep -o '192[^ ]*\\|2001[^ ]*'", "192.0.2.10/24\n2001:db8::10/64")
	g.check("ip -4 -br address | grep -c 'UP .*10[.]0[.]2[.]15/24'", "1")
	// Another machine, of the kind that needs no other machine.
	g.check(`ip netns add other
ip link add outside type veth peer name inside netns other
ip link add trusted0 type veth peer name within netns other
ip address add 10.9.0.1/24 dev outside; ip link set outside up
ip address add 10.9.1.1/24 dev trusted0; ip link set trusted0 up
ip -n other address add 10.9.0.2/24 dev inside; ip -n other link set inside up
ip -n other address add 10.9.1.2/24 dev within; ip -n other link set within up
ip address add 2001:db8:9::1/64 dev outside nodad
ip -n other address add 2001:db8:9::2/64 dev inside nodad
ip -n other link set lo up`, "")
	from := func(address string) string {
		return fmt.Sprintf("ip netns exec other timeout 60 bash -c 'head -c 6 </dev/tcp/%s'", address)
	}
	g.check(from("10.9.0.1/8001"), "answer")
	if out, code := g.run(strings.Replace(from("10.9.0.1/8002"), "60", "3", 1)); code != 124 {
		g.t.Errorf("a port that isn't allowed: %s, exit status %d", out, code)
	}
	g.check(from("10.9.1.1/8002"), "answer")
	g.check("timeout 60 bash -c 'head -c 6 </dev/tcp/127.0.0.1/8002'", "answer")
	g.check("ip netns exec other sh -c 'ping -c 1 -W 60 10.9.0.1 && ping -c 1 -W 60 2001:db8:9::1' >/dev/null && nft list ruleset | grep -c 'policy drop'", "1")
	g.check("systemctl restart nftables.service && "+from("10.9.0.1/8001"), "answer")
}

func checkDeclaredUsers(g *guest) {
	g.t.Helper()
	g.check("getent passwd ann bob | sed 's/^bob:x:[0-9]*:[0-9]*:/bob:x:N:N:/'",
		"ann:x:1234:1234:Ann Example:/home/ann:/bin/bash\nbob:x:N:N::/home/bob:/bin/sh")
	g.check("getent group workers; id -gn worker; stat -c '%U:%G' /var/lib/worker; test $(id -u worker) -lt 1000; id -Gn bob",
		"workers:x:4321:bob\nworkers\nworker:workers\nbob adm workers")
	g.check("su ann -c 'sudo -n id -un'; su bob -c 'sudo -n -u worker /usr/bin/id -un'", "root\nworker")
	if out, code := g.run("su bob -c 'sudo -n id'"); code == 0 {
		g.t.Errorf("bob may be root: %s", out)
	}
	g.check("sudo -l -U bob | grep NOPASSWD | tr -s ' '; stat -c %a /etc/sudoers.d/nbuild; visudo -cq", " (worker) NOPASSWD: /usr/bin/id -un\n440")
}

func checkDeclaredUnits(g *guest) {
	g.t.Helper()
	g.check("cat /run/script/nasty; echo; cat /run/script/greeting /run/script/token; echo; ls -1 /run/script", "a\"b\\c\nd%e$f 'g'7\ngreetings\nhush\ngreeting\nnasty\ntoken")
	g.check("systemctl stop script.service; cat /run/script/status; cat /run/words", "1\n100%|$HOME|a b|\"|\\|'|;|")
	g.check("systemctl show -P Environment systemd-logind.service | cat; systemctl is-enabled systemd-pstore.service fstrim.timer; true", "ADDED=yes\nmasked\nmasked")
	g.check("systemctl is-active together.target 'srv-my\\x2dscratch.mount'; findmnt -no FSTYPE,SIZE /srv/my-scratch; stat -c %a /srv/my-scratch", "active\nactive\ntmpfs    1M\n750")
	g.check("findmnt -nT /tmp -o TARGET; stat -c %a /tmp", "/\n1777") // What is masked isn't mounted by the initrd either.
	g.check("systemctl start work.slice; systemctl show -P CPUWeight work.slice | cat; stat -c '%a %U:%G' /srv/made", "20\n750 ann:workers")
	// Who reads a pipe waits for who writes.
	g.check("mkfifo /run/answer; touch /run/watch-me; timeout 60 cat /run/answer", "seen")
	g.check("mkfifo -m 622 /run/ask; timeout 60 cat /run/ask; timeout 60 cat /run/ask; rm /run/ask", "ann\nann")
}
