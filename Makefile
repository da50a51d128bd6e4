# GNU make. `make help` lists the targets.

GO   ?= go
TOOL := $(GO) tool -modfile=tools/go.mod

# The version comes from git through Go's build information. Where git is missing or refuses the folder (another user's
# clone), the binary says so instead of the build failing.
VCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo true || echo false)

# The race detector needs a C compiler; without one the tests run all the same, and say what is lost.
RACE := $(shell [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v "$$($(GO) env CC)" >/dev/null && echo -race)

# go test shows what was skipped, and why, only together with everything else. This shows the results, what was not
# tested, and of tests that failed all they said.
define loudly
echo '$(1)'; mkdir -p bin; status=0; $(1) >bin/test.log 2>&1 || status=$$?; \
	if [ $$status = 0 ]; then grep -aE '^(ok|FAIL)|^[^>]*NOT TESTED' bin/test.log; else grep -avE '^ *(=== |--- PASS)' bin/test.log; fi; \
	exit $$status
endef

.NOTPARALLEL:
.PHONY: build vm test lint unit e2e bench fmt shellcheck clean help

build: ## build bin/nbuild (the default)
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=$(VCS) -o bin/nbuild ./cmd/nbuild

vm: build ## build the demo system and start it as a virtual machine
	+bin/nbuild vm --run

test: build lint unit e2e ## check everything: lint, unit tests, end-to-end tests

unit: ## run the unit tests, with the race detector where there is a C compiler
	@[ -n "$(RACE)" ] || echo 'NOT TESTED: data races, because there is no C compiler (cc) for go test -race'
	@$(call loudly,$(GO) test $(RACE) -v ./...)

e2e: build ## build real systems and boot them; needs a Debian mirror
	@$(call loudly,NBUILD=$(CURDIR)/bin/nbuild $(GO) test -tags e2e -count=1 -timeout 40m -v ./e2e/...)

lint: shellcheck ## check the format and what go vet, staticcheck and shellcheck find
	@files=$$($(TOOL) gofumpt -l .) || exit; [ -z "$$files" ] || { echo "make fmt would change:" $$files; exit 1; }
	$(GO) vet -tags e2e ./...
	$(TOOL) staticcheck -tags e2e ./...

shellcheck: build ## check the shell scripts with a shellcheck that nbuild itself fetches
	tools/shellcheck

bench: build ## measure nbuild beside make, ninja and mmdebstrap; prints figures, asserts nothing
	bench/run

fmt: ## format the Go code
	$(TOOL) gofumpt -w .

clean: ## delete what make has built; the store stays
	rm -rf bin

help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r target text; do \
		printf '  %-15s %s\n' "make $$target" "$$text"; done
