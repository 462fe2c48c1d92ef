#!/usr/bin/env bash
# Writes the configuration of a cluster:   config.sh DIR BASE_PORT      (up.sh calls it)
# The variables that it reads are explained in up.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

base=$2
profile=${PROFILE:-test}
cpu_nodes=${CPU_NODES:-2} gpu_nodes=${GPU_NODES:-1}
node_cpus=${NODE_CPUS:-64} node_mem_mb=${NODE_MEM_MB:-65536} node_gpus=${NODE_GPUS:-8}
ctl_ports=$base
munge_threads=2

case $profile in
default) # what Slurm does where nothing is set, but for room for many jobs
    tuning="MaxJobCount=${MAX_JOBS:-60000}
MaxArraySize=20001" ;;
tuned) # the advice of Slurm's high-throughput guide, at a scale for a few nodes
    tuning="SchedulerParameters=defer,batch_sched_delay=1,sched_min_interval=200000,default_queue_depth=1000,bf_continue,bf_interval=30,bf_max_job_test=500,bf_resolution=600
MaxJobCount=${MAX_JOBS:-60000}
MaxArraySize=20001
MinJobAge=10
MessageTimeout=30
SlurmctldDebug=error
SlurmdDebug=error"
    ctl_ports=$base-$((base + 3)) munge_threads=10 ;;
test) # schedule at once, notice dead nodes soon
    tuning="SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=2
MaxJobCount=${MAX_JOBS:-20000}
MaxArraySize=20001
MinJobAge=${MIN_JOB_AGE_S:-300}
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=2
CompleteWait=0
RequeueExit=75
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE" ;;
*) die "PROFILE is test, default or tuned, not $profile" ;;
esac

# Not built with --enable-multiple-slurmd, Slurm wants every NodeHostname to differ; it dials only
# NodeAddr and Port, so many real slurmd run on one machine.
node_lines() {
    local port=$((base + 20)) n
    local node="NodeAddr=127.0.0.1 CPUs=$node_cpus RealMemory=$node_mem_mb"
    for ((n = 1; n <= cpu_nodes; n++)); do
        echo "NodeName=cpu$n NodeHostname=cpu$n.lab $node Port=$((port++)) Feature=kunpeng,aarch64"
    done
    for ((n = 1; n <= gpu_nodes; n++)); do
        echo "NodeName=gpu$n NodeHostname=gpu$n.lab $node Port=$((port++)) Feature=ascend,aarch64 Gres=gpu:ascend:$node_gpus"
    done
}

# low lies on the nodes of cpu and is preempted by it.
partition_lines() {
    local terms="MaxTime=7-00:00:00 DefaultTime=60 State=UP"
    if ((cpu_nodes)); then
        echo "PartitionName=cpu Nodes=cpu[1-$cpu_nodes] Default=YES PriorityTier=10 $terms"
        echo "PartitionName=low Nodes=cpu[1-$cpu_nodes] PriorityTier=1 $terms"
    fi
    if ((gpu_nodes)); then
        echo "PartitionName=gpu Nodes=gpu[1-$gpu_nodes] PriorityTier=10 $terms"
    fi
}

auth="AuthType=auth/munge
AuthInfo=socket=$DIR/run/munge.sock
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key=$DIR/etc/jwt.key"

cat >"$DIR/etc/slurm.conf" <<CONF
ClusterName=lab
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$ctl_ports
SlurmdPort=$((base + 20))
SlurmUser=root
SlurmdUser=root
$auth
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool/%n
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd-%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=64
SlurmdParameters=config_overrides
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((base + 10))
AccountingStoragePass=socket=$DIR/run/munge.sock
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,limits,qos
AccountingStoreFlags=job_comment
JobAcctGatherType=jobacct_gather/none
$tuning
$(node_lines)
$(partition_lines)
CONF

# slurmd drops a gres without a file; any file that is there will do.
mkdir -p "$DIR/dev"
for ((n = 0; n < node_gpus; n++)); do : >>"$DIR/dev/accel$n"; done
: >"$DIR/etc/gres.conf"
if ((gpu_nodes)); then
    echo "NodeName=gpu[1-$gpu_nodes] Name=gpu Type=ascend File=$DIR/dev/accel[0-$((node_gpus - 1))]" \
        >"$DIR/etc/gres.conf"
fi
: >"$DIR/etc/plugstack.conf"

cat >"$DIR/etc/slurmdbd.conf" <<CONF
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((base + 10))
SlurmUser=root
$auth
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((base + 11))
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
PidFile=$DIR/run/slurmdbd.pid
LogFile=$DIR/log/slurmdbd.log
$([[ $profile != tuned ]] || echo CommitDelay=1)
CONF
chmod 600 "$DIR/etc/slurmdbd.conf"

nodes=()
for ((n = 1; n <= cpu_nodes; n++)); do nodes+=("cpu$n"); done
for ((n = 1; n <= gpu_nodes; n++)); do nodes+=("gpu$n"); done
cat >"$DIR/env.sh" <<CONF
export SLURM_CONF=$SLURM_CONF
export SLURM_REST_URL=http://127.0.0.1:$((base + 12))
SQL_PORT=$((base + 11))
REST_PORT=$((base + 12))
REST_THREADS=${REST_THREADS:-20}
REST_ALSO=${REST_ALSO:-}
MUNGE_THREADS=$munge_threads
NODES="${nodes[*]}"
CONF
