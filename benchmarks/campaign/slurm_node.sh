#!/usr/bin/env bash
# A SLURM cluster of one node, this machine, on Debian: for tests and benchmarks, in a container too.
#
#   slurm_node.sh [start]   install slurm-wlm and munge where they are missing, and start them
#   slurm_node.sh stop      stop them, and put the configuration back that was there before
#
# It needs root.  Where there can be no such cluster it says why, and exits with code 3.
set -euo pipefail

CONF=/etc/slurm/slurm.conf
MARK="# Written by slurm_node.sh of relax"
STATE=/var/lib/relax-slurm

refuse() {
    echo "slurm_node.sh: $*" >&2
    exit 3
}

# A process that has ended may be left in a container, where nobody collects it.
running() {
    ps -C "$1" -o stat= | grep -qv Z
}

ended() {
    ! running "$1"
}

# wait_for SECONDS COMMAND...: until the command succeeds
wait_for() {
    local left=$1
    shift
    until "$@" > /dev/null 2>&1; do
        ((left-- > 0)) || return 1
        sleep 1
    done
}

install_packages() {
    command -v slurmctld > /dev/null && command -v slurmd > /dev/null && command -v munged > /dev/null && return
    command -v apt-get > /dev/null || refuse "there is no apt-get; install SLURM and munge by hand"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update > /dev/null || refuse "apt-get update failed"
    apt-get -q install -y --no-install-recommends slurm-wlm munge > /dev/null ||
        refuse "slurm-wlm and munge could not be installed"
}

write_configuration() {
    local host cores memory
    host=$(hostname -s)
    cores=$(nproc)
    memory=$(awk '/^MemTotal:/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
    if [ -f "$CONF" ] && ! grep -qxF "$MARK" "$CONF"; then
        mv "$CONF" "$STATE/slurm.conf.before"
    fi
    # No control groups, which a container may not have, and no accounting, which needs a database.  Cores are
    # given out one by one, so that jobs run side by side.
    cat > "$CONF" << END
$MARK
ClusterName=relax
SlurmctldHost=$host
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
ReturnToService=2
KillWait=30
MinJobAge=3600
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd.pid
StateSaveLocation=$STATE/state
SlurmdSpoolDir=$STATE/spool
SlurmctldLogFile=$STATE/slurmctld.log
SlurmdLogFile=$STATE/slurmd.log
NodeName=$host CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP PreemptMode=REQUEUE
END
}

start_munge() {
    munge -n > /dev/null 2>&1 && return
    [ -f /etc/munge/munge.key ] || mungekey --create || refuse "no key for munge could be made"
    mkdir -p /run/munge /var/log/munge /var/lib/munge
    chown munge: /run/munge /var/log/munge /var/lib/munge /etc/munge /etc/munge/munge.key
    chmod 755 /run/munge
    touch "$STATE/munged"
    runuser -u munge -- /usr/sbin/munged || refuse "munged did not start; see /var/log/munge"
    wait_for 10 munge -n || refuse "munged does not answer; see /var/log/munge"
}

start() {
    install_packages
    mkdir -p "$STATE/state" "$STATE/spool" "$(dirname "$CONF")"
    if running slurmctld && running slurmd && [ ! -f "$STATE/slurmctld.pid" ]; then
        refuse "another SLURM runs on this machine"
    fi
    start_munge
    if ! running slurmctld || ! running slurmd; then
        write_configuration
    fi
    running slurmctld || slurmctld || refuse "slurmctld did not start; see $STATE/slurmctld.log"
    running slurmd || slurmd || refuse "slurmd did not start; see $STATE/slurmd.log"
    wait_for 20 scontrol ping || refuse "slurmctld does not answer; see $STATE/slurmctld.log"
    scontrol update nodename="$(hostname -s)" state=resume > /dev/null 2>&1 || true
    wait_for 12 srun --immediate=5 true || refuse "no job runs; see the logs in $STATE"
    sinfo
}

stop() {
    [ -d "$STATE" ] || refuse "it has started nothing here"
    scancel --state=RUNNING,PENDING > /dev/null 2>&1 || true
    for name in slurmd slurmctld; do
        if [ -f "$STATE/$name.pid" ]; then
            kill "$(cat "$STATE/$name.pid")" 2> /dev/null || true
            wait_for 10 ended "$name" || kill -KILL "$(cat "$STATE/$name.pid")"
        fi
    done
    if [ -f "$STATE/munged" ]; then # it was started here
        kill "$(cat /run/munge/munged.pid)" 2> /dev/null || true
    fi
    if [ -f "$CONF" ] && grep -qxF "$MARK" "$CONF"; then
        rm "$CONF"
    fi
    if [ -f "$STATE/slurm.conf.before" ]; then
        mv "$STATE/slurm.conf.before" "$CONF"
    fi
    rm -rf "$STATE"
}

[ "$(id -u)" = 0 ] || refuse "only root can start SLURM"
case "${1:-start}" in
    start) start ;;
    stop) stop ;;
    *)
        echo "slurm_node.sh: expected start or stop (got $1)" >&2
        exit 2
        ;;
esac
