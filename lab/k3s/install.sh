#!/bin/sh
# A stand-in for get.k3s.io in the lab, which installs the lab's stand-in for k3s as the real script installs K3s: the
# binary with its checksum from a release, the unit with its arguments, the files for removal.
#
# It reads what it knows of the real one's settings (check_settings lists them) and keeps K3S_* variables for the service.
# A setting that it does not know it refuses, so that a misspelt one shows up here and not in production; so do
# arguments of k3s that the stand-in does not have.
set -eu

GITHUB_URL=${GITHUB_URL:-@BASE_URL@/k3s-io/k3s/releases}
CHANNEL_URL=${INSTALL_K3S_CHANNEL_URL:-@BASE_URL@/v1-release/channels}

info() { echo "[INFO]  $*"; }
fatal() {
  echo "[ERROR] $*" >&2
  exit 1
}

check_settings() {
  [ "$(id -u)" -eq 0 ] || fatal "must be run as root"
  for name in $(env | sed -n 's/^\(INSTALL_K3S_[A-Z0-9_]*\)=.*/\1/p'); do
    case ${name#INSTALL_K3S_} in
      VERSION | EXEC | NAME | TYPE | CHANNEL | CHANNEL_URL | BIN_DIR | SYSTEMD_DIR | SYMLINK) ;;
      SKIP_DOWNLOAD | SKIP_ENABLE | SKIP_START | FORCE_RESTART | SKIP_SELINUX_RPM | SELINUX_WARN) ;;
      *) fatal "the stand-in does not know $name" ;;
    esac
  done
  VERSION=${INSTALL_K3S_VERSION:-}
  [ -z "$VERSION" ] || echo "$VERSION" | grep -Eqx 'v[0-9]+\.[0-9]+\.[0-9]+(-rc[0-9]+)?\+k3s[0-9]+' ||
    fatal "no K3s release is called $VERSION; did you mean v1.34.4+k3s1?"
}

# Sets COMMAND and everything that is named after it.
name_files() {
  case ${1:-} in
    '' | -*)
      COMMAND=server
      if [ -n "${K3S_URL:-}" ]; then
        COMMAND=agent
        [ -n "${K3S_TOKEN:-}${K3S_TOKEN_FILE:-}" ] ||
          fatal "Defaulted k3s exec command to 'agent' because K3S_URL is defined, but K3S_TOKEN or K3S_TOKEN_FILE is not defined."
      fi
      ;;
    server | agent) COMMAND=$1 ;;
    *) fatal "the stand-in has no command $1, only server and agent" ;;
  esac
  case ${K3S_URL:-} in
    '' | https://*) ;;
    *) fatal "Only https:// URLs are supported for K3S_URL (have $K3S_URL)" ;;
  esac
  SYSTEM_NAME=k3s
  [ "$COMMAND" = server ] || SYSTEM_NAME=k3s-$COMMAND
  [ -z "${INSTALL_K3S_NAME:-}" ] || SYSTEM_NAME=k3s-$INSTALL_K3S_NAME
  BIN=${INSTALL_K3S_BIN_DIR:-/usr/local/bin}
  UNIT=${INSTALL_K3S_SYSTEMD_DIR:-/etc/systemd/system}/$SYSTEM_NAME.service
}

get() {
  if command -v curl >/dev/null; then
    curl -sfL -o "$1" "$2" || fatal "Download failed"
  elif command -v wget >/dev/null; then
    wget -qO "$1" "$2" || fatal "Download failed"
  else
    fatal "Can not find curl or wget for downloading files"
  fi
}

channel_version() {
  if command -v curl >/dev/null; then
    curl -sSL -o /dev/null -w '%{url_effective}' "$CHANNEL_URL/$1" | sed 's|.*/||'
  else
    wget -SqO /dev/null "$CHANNEL_URL/$1" 2>&1 | sed -n 's|^ *Location: .*/||p'
  fi
}

download() {
  case ${INSTALL_K3S_SKIP_DOWNLOAD:-false} in
    true | binary)
      info "Skipping k3s download and verify"
      [ -x "$BIN/k3s" ] || fatal "Executable k3s binary not found at $BIN/k3s"
      return
      ;;
  esac
  if [ -z "$VERSION" ]; then
    info "Finding release for channel ${INSTALL_K3S_CHANNEL:-stable}"
    VERSION=$(channel_version "${INSTALL_K3S_CHANNEL:-stable}")
  fi
  info "Using $VERSION as release: a stand-in without a kubelet, so no pod runs"
  work=$(mktemp -d -t k3s-install.XXXXXXXXXX)
  trap 'rm -rf "$work"' EXIT
  info "Downloading hash $GITHUB_URL/download/$VERSION/sha256sum-amd64.txt"
  get "$work/sums" "$GITHUB_URL/download/$VERSION/sha256sum-amd64.txt"
  # Without such a line the real script ends here too, and without a word.
  wanted=$(grep ' k3s$' "$work/sums")
  wanted=${wanted%% *}
  if [ "$wanted" = "$(sha256sum "$BIN/k3s" 2>/dev/null | cut -d' ' -f1)" ]; then
    info "Skipping binary downloaded, installed k3s matches hash"
    return
  fi
  info "Downloading binary $GITHUB_URL/download/$VERSION/k3s"
  get "$work/k3s" "$GITHUB_URL/download/$VERSION/k3s"
  info "Verifying binary download"
  found=$(sha256sum "$work/k3s" | cut -d' ' -f1)
  [ "$found" = "$wanted" ] || fatal "Download sha256 does not match $wanted, got $found"
  info "Installing k3s to $BIN/k3s"
  chmod 755 "$work/k3s"
  chown root:root "$work/k3s"
  mkdir -p "$BIN"
  mv -f "$work/k3s" "$BIN/k3s"
}

make_links() {
  [ "${INSTALL_K3S_SYMLINK:-}" != skip ] || return 0
  # etcdctl is the lab's addition: with K3s people install it themselves.
  for name in kubectl crictl ctr etcdctl; do
    if [ "${INSTALL_K3S_SYMLINK:-}" = force ] || { [ ! -e "$BIN/$name" ] && ! command -v "$name" >/dev/null; }; then
      info "Creating $BIN/$name symlink to k3s"
      ln -sf k3s "$BIN/$name"
    fi
  done
}

# Of all k3s services of the machine, as the real one.
write_killall() {
  cat >"$BIN/k3s-killall.sh" <<'KILLALL'
#!/bin/sh
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"
set -x
for unit in /etc/systemd/system/k3s*.service; do
  [ ! -s "$unit" ] || systemctl stop "$(basename "$unit")"
done
KILLALL
  chmod 755 "$BIN/k3s-killall.sh"
}

write_uninstall() {
  cat >"$BIN/$SYSTEM_NAME-uninstall.sh" <<UNINSTALL
#!/bin/sh
[ "\$(id -u)" -eq 0 ] || exec sudo --preserve-env=K3S_DATA_DIR "\$0" "\$@"
set -x
DATA=\${K3S_DATA_DIR:-/var/lib/rancher/k3s}
$BIN/k3s-killall.sh
systemctl disable $SYSTEM_NAME
systemctl reset-failed $SYSTEM_NAME
rm -f $UNIT $UNIT.env
systemctl daemon-reload
rm -f $BIN/$SYSTEM_NAME-uninstall.sh
if ls $(dirname "$UNIT")/k3s*.service >/dev/null 2>&1; then
  echo 'Additional k3s services installed, skipping uninstall of k3s'
  exit
fi
for name in kubectl crictl ctr etcdctl; do
  [ ! -L $BIN/\$name ] || rm -f $BIN/\$name
done
rm -rf /etc/rancher/k3s /run/k3s /run/flannel /var/lib/kubelet
# What is mounted there stays: -xdev does not go into it, and a folder that holds a mount is not removed.
find "\$DATA" -xdev -depth -delete 2>/dev/null
rm -f $BIN/k3s $BIN/k3s-killall.sh
UNINSTALL
  chmod 755 "$BIN/$SYSTEM_NAME-uninstall.sh"
}

# Anew at each run, from the environment of that run: what it does not have is lost.
write_environment() {
  mkdir -p "$(dirname "$UNIT")"
  touch "$UNIT.env"
  chmod 600 "$UNIT.env"
  {
    sh -c export | while read -r _ line; do echo "$line"; done | grep -E '^(K3S|CONTAINERD)_' || true
    sh -c export | while read -r _ line; do echo "$line"; done | grep -Ei '^(NO|HTTP|HTTPS)_PROXY' || true
  } >"$UNIT.env"
}

write_unit() {
  {
    cat <<UNIT
[Unit]
Description=Lightweight Kubernetes (stand-in without a kubelet)
Wants=network-online.target
After=network-online.target

[Install]
WantedBy=multi-user.target

[Service]
Type=${INSTALL_K3S_TYPE:-notify}
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
EnvironmentFile=-$UNIT.env
KillMode=process
Delegate=yes
User=root
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
UNIT
    printf 'ExecStart=%s/k3s' "$BIN"
    for argument; do
      printf " \\\\\n    '%s'" "$argument"
    done
    echo
  } >"$UNIT.$$"
  mv "$UNIT.$$" "$UNIT"
}

hashes() { sha256sum "$BIN/k3s" "$UNIT" "$UNIT.env" 2>&1 || true; }

check_settings
# As the real one: the words of INSTALL_K3S_EXEC, whose punctuation it escapes even between quotes, then the arguments;
# `server` or `agent` when no command is among them.
words=$(printf %s "${INSTALL_K3S_EXEC:-}" | sed 's/[][!#$%&()*;<=>?\\_`{|}]/\\&/g')
eval "set -- $words $(for argument; do printf "'%s' " "$(echo "$argument" | sed "s/'/'\\\\''/g")"; done)"
name_files "$@"
case ${1:-} in
  '' | -*) set -- "$COMMAND" "$@" ;;
esac

before=$(hashes)
download
"$BIN/k3s" check-arguments "$@" || exit 1
make_links
write_killall
write_uninstall
write_environment
write_unit "$@"
if [ "${INSTALL_K3S_SKIP_ENABLE:-false}" = true ]; then
  exit 0
fi
info "systemd: Enabling $SYSTEM_NAME unit"
systemctl -q enable "$UNIT"
systemctl daemon-reload
if [ "${INSTALL_K3S_SKIP_START:-false}" = true ]; then
  exit 0
fi
if [ "$before" = "$(hashes)" ] && [ "${INSTALL_K3S_FORCE_RESTART:-false}" != true ]; then
  info "No change detected so skipping service start"
  exit 0
fi
info "systemd: Starting $SYSTEM_NAME"
systemctl restart "$SYSTEM_NAME"
