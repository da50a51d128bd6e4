package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// confinedVariable tells the second half of confinedMain from the first.
const confinedVariable = "NBUILD_TEST_CONFINED"

// confinedMain is the command "confined [FLAGS] COMMAND ARGUMENTS..." of the scripts. It runs the command in user and mount
// namespaces of its own:
//
//	-tmpfs FOLDER=SIZE    an empty file system of this size hides the folder; the size may have k or m behind it
//	-hide FOLDER          the same, if there is such a folder at all
//	-no-user-namespaces   no more of them can be made, as where an administrator forbids them
//
// It ends as the command does.
func confinedMain() {
	var folders []string
	flag.Func("tmpfs", "`FOLDER=SIZE`", func(text string) error {
		folders = append(folders, text)
		return nil
	})
	flag.Func("hide", "`FOLDER`", func(folder string) error {
		if _, err := os.Stat(folder); err == nil {
			folders = append(folders, folder+"=4k")
		}
		return nil
	})
	forbid := flag.Bool("no-user-namespaces", false, "")
	flag.Parse()
	var err error
	if os.Getenv(confinedVariable) == "" {
		err = enterNamespaces()
	} else {
		err = errors.Join(hideFolders(folders), forbidNamespaces(*forbid), execute(flag.Args()))
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "confined:", err)
		os.Exit(127)
	}
	os.Exit(0)
}

// enterNamespaces runs this program again with the same arguments.
func enterNamespaces() error {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), confinedVariable+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	return cmd.Run()
}

func hideFolders(folders []string) error {
	for _, text := range folders {
		folder, size, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("-tmpfs %s: want FOLDER=SIZE", text)
		}
		if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size="+size); err != nil {
			return fmt.Errorf("hide %s: %v", folder, err)
		}
	}
	return nil
}

func forbidNamespaces(really bool) error {
	if !really {
		return nil
	}
	return os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
}

func execute(args []string) error {
	program, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(program, args, os.Environ())
}

// codeMain is the command "code CODE COMMAND ARGUMENTS..." of the scripts. It succeeds if the command ends with that exit
// code, which a script can't see of what runs in the background, and passes an interrupt on.
func codeMain() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "code:", err)
		os.Exit(127)
	}
	go func() { _ = cmd.Process.Signal(<-signals) }() // If it has ended, its code tells.
	_ = cmd.Wait()
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != os.Args[1] {
		fmt.Fprintf(os.Stderr, "code: exit code %s, want %s\n", got, os.Args[1])
		os.Exit(1)
	}
	os.Exit(0)
}
