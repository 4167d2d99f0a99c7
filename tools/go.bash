# Sourced by the build scripts here, in a folder with a go.mod: finds a Go that can build what it asks for.

# Go 1.21 and later fetch the version that go.mod asks for by themselves; an older one is told how.
newer_go() {
  local version work module
  version=$(awk '$1 == "go" { print $2 }' go.mod)
  work=$(mktemp -d)
  (
    cd "$work" && go mod init bootstrap
    go mod download -json "golang.org/toolchain@v0.0.1-go$version.$(go env GOOS)-$(go env GOARCH)" > toolchain.json
  ) >&2
  module=$(sed -n 's/.*"Dir": "\(.*\)".*/\1/p' "$work/toolchain.json")
  rm -r "$work"
  chmod -R u+w "$module" && chmod -R u+x "$module/bin" "$module/pkg/tool"
  find "$module/src" -maxdepth 2 -name _go.mod -execdir cp _go.mod go.mod ';'  # as newer ones do: no module may hold another
  echo "$module/bin/go"
}

# Sets `go` to that program, and the environment to what all builds here have in common.
#
#   use_go "what it is needed for"
use_go() {
  command -v go >/dev/null || { echo "Go is needed $1" >&2; exit 1; }
  go=go
  export GOTOOLCHAIN=${GOTOOLCHAIN:-auto} GOFLAGS=-buildvcs=false CGO_ENABLED=0
  if [[ $(cd / && go env GOVERSION) =~ ^go1\.(1?[0-9]|20)([^0-9]|$) ]]; then
    go=$(newer_go)
    unset GOROOT
  fi
}
