#!/bin/sh
# How nbuild vm ssh comes into the machine @host@; a part of run-vm-inside, which reads it.
#
# The machine has a serial port for it, which ends in a socket that only the machine's namespace has. At its other end the
# guest runs an SSH server for this one connection, which all logins share. So no port of the host matters, nor the
# guest's network, firewall and SSH configuration. A key made at each start is the client's and the server's.

# offer_login: sets login to QEMU's options for it. What the guest has to know are credentials in its firmware's tables,
# which systemd keeps in memory.
offer_login() {
	login='' login_fault=@login_fault@
	[ -z "$login_fault" ] || return 0
	[ -n "$printing" ] || make_keys
	login='-chardev socket,id=login,path=/nbuild/run/login.socket,server=on,wait=off
		-device virtio-serial-pci -device virtserialport,chardev=login,name=nbuild.login'
	credential nbuild.key /nbuild/run/login.key
	credential nbuild.authorized /nbuild/run/login.key.pub
	credential systemd.unit-dropin.multi-user.target~nbuild <<-'END'
		[Unit]
		Wants=nbuild-login.service
	END
	# What echo writes first waits until somebody is at the host's end. When the guest restarts, only something that isn't
	# encrypted tells the client that its connection has ended: so there is dd.
	credential systemd.extra-unit.nbuild-login.service <<-'END'
		[Unit]
		Description=Login for the owner of the virtual machine
		Wants=dev-virtio\x2dports-nbuild.login.device
		After=dev-virtio\x2dports-nbuild.login.device
		StartLimitIntervalSec=0
		[Service]
		StandardInput=file:/dev/virtio-ports/nbuild.login
		StandardOutput=file:/dev/virtio-ports/nbuild.login
		StandardError=journal
		ImportCredential=nbuild.*
		RuntimeDirectory=sshd
		RuntimeDirectoryPreserve=yes
		ExecStart=/bin/sh -c 'echo; while read -r word number; do case $$word in hello) last=$$number; echo hello $$last ;; \
			go) [ "$$number" != "$$last" ] || exec /usr/sbin/sshd -i -f /dev/null -h %d/nbuild.key \
			-o AuthorizedKeysFile=%d/nbuild.authorized -o AllowUsers=root -o AuthenticationMethods=publickey -o UsePAM=yes \
			-o PrintMotd=no -o PrintLastLog=no -o MaxSessions=100000 ;; esac; done'
		ExecStopPost=-/bin/dd if=/proc/version oflag=nonblock status=none
		SuccessExitStatus=255
		Restart=always
		KillMode=process
		TimeoutStopSec=5
	END
}

make_keys() {
	/usr/bin/ssh-keygen -q -t ed25519 -N '' -C '' -f /nbuild/run/login.key
	# The client runs its proxy's command by the shell.
	$busybox ln -s "$busybox" /nbuild/run/sh
	read -r key </nbuild/run/login.key.pub
	echo "guest $key" >/nbuild/run/login.hosts
	# Who can't have the shared connection goes no way of its own: that would be in the way of the next one.
	$busybox cat >/nbuild/run/login.config <<-END
		ProxyCommand $busybox false
		User root
		IdentityFile /nbuild/run/login.key
		IdentityAgent none
		UserKnownHostsFile /nbuild/run/login.hosts
		StrictHostKeyChecking yes
		UpdateHostKeys no
		ControlPath /nbuild/run/login.control
		ServerAliveInterval 5
		ServerAliveCountMax 24
		LogLevel ERROR
	END
}

# credential NAME [FILE]: gives the guest's systemd what is in a file, or on the standard input.
credential() {
	table=/nbuild/run/credential.$1
	login="$login -smbios type=11,path=$table"
	[ -z "$printing" ] || return 0
	printf 'io.systemd.credential:%s=' "$1" >"$table"
	$busybox cat "${2--}" >>"$table"
}

# login WORD...: the step that logs in. It runs in the machine's user and mount namespaces, and the words are ssh's.
login() {
	busybox=/usr/bin/busybox login_fault=@login_fault@
	[ -z "$login_fault" ] || unreachable "$login_fault"
	exec 9>/nbuild/run/login.lock
	/usr/bin/flock 9
	/usr/bin/ssh -F /nbuild/run/login.config -O check guest 2>/dev/null || connect
	exec 9<&-
	# A program that draws on the host's terminal wants one in the guest, too.
	terminal=-T
	[ ! -t 0 ] || [ ! -t 1 ] || terminal=-t
	exec /usr/bin/ssh -F /nbuild/run/login.config $terminal guest "$@"
}

# reach: the step that connects a client with the guest's server, by its standard input and output.
#
# The port knows no connections: what was written by one client before, or to it, may come first. So both greet each other
# with a number of this connection, and what else there is until then is nobody's. A server that still waits for the
# client before takes a greeting amiss and ends: then the next one needs another.
reach() {
	busybox=/usr/bin/busybox line=
	read -r number </proc/sys/kernel/random/uuid
	answers=/nbuild/run/login.answers.$number guest=/nbuild/run/login.guest.$number
	$busybox mkfifo "$answers" "$guest"
	exec 3<&0 4<>"$answers"
	{
		greet
		exec $busybox cat 4<&-
	} <&3 | /usr/bin/nc.openbsd -N -U /nbuild/run/login.socket >"$guest" 3<&- 4<&- &
	# The client sees its connection end when this process does: nothing else may have its output open.
	exec <"$guest" 3<&-
	$busybox rm "$answers" "$guest"
	until [ "$line" = "hello $number" ]; do
		read -r line || exit 1
	done
	echo answered >&4
	exec $busybox cat 4<&-
}

# greet: until there is an answer, or no client or no guest any more.
greet() {
	{
		trap '' PIPE
		while kill -0 $PPID && printf '\nhello %s\n' "$number"; do
			$busybox usleep 1000000
		done 2>/dev/null
		echo alone >&4
	} &
	read -r answer <&4
	kill $! 2>/dev/null || exit 1
	# After this nothing but the client's own may be sent.
	wait $! 2>/dev/null || true
	[ "$answer" = answered ] || exit 1
	echo "go $number"
}

unreachable() {
	say "$*"
	exit 255
}

# connect: waits until the guest answers, and leaves the connection in the background. It stays until the machine ends.
connect() {
	[ ! -t 2 ] || say 'waiting for the guest to answer; Ctrl-C stops this'
	$busybox rm -f /nbuild/run/login.control # It is of a client that was killed.
	deadline=$(($($busybox date +%s) + 300)) left=300 tries=0
	until [ -S /nbuild/run/login.socket ] &&
		/usr/bin/setpriv --pdeathsig TERM /usr/bin/ssh -F /nbuild/run/login.config -o ConnectTimeout=$left \
			-o "ProxyCommand=/nbuild/run/sh /nbuild/run-vm-inside reach - - -" -M -N -f guest 2>/nbuild/run/login.errors 9<&-; do
		# These are the machine's processes, of which this is none.
		[ -e /proc/1 ] || unreachable 'the machine has ended'
		# QEMU doesn't listen yet, or not any more: soon more is known.
		if [ -s /nbuild/run/login.errors ] && ! $busybox grep -q refused /nbuild/run/login.errors; then
			tries=$((tries + 1))
			[ $tries -lt 10 ] || unreachable "the guest cannot be logged in to: $($busybox tail -n 1 /nbuild/run/login.errors)"
		fi
		left=$((deadline - $($busybox date +%s)))
		[ $left -gt 0 ] || unreachable 'the guest does not answer; its console may tell why'
		$busybox usleep 100000
	done
}
