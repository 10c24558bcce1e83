package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

const etcdPatience = 10 * time.Second

func (a *API) EtcdMemberList(ctx context.Context, _ *machine.EtcdMemberListRequest) (*machine.EtcdMemberListResponse, error) {
	if err := a.controlPlane("member list"); err != nil {
		return nil, err
	}

	answer := &machine.EtcdMembers{}

	err := a.boot.etcd.with(ctx, etcdPatience, func(ctx context.Context, client *clientv3.Client) error {
		list, err := client.MemberList(ctx)
		if err != nil {
			return err
		}

		for _, member := range list.Members {
			answer.LegacyMembers = append(answer.LegacyMembers, member.Name)
			answer.Members = append(answer.Members, &machine.EtcdMember{
				Id: member.ID, Hostname: member.Name, PeerUrls: member.PeerURLs, ClientUrls: member.ClientURLs,
				IsLearner: member.IsLearner,
			})
		}

		return nil
	})
	if err != nil {
		return nil, err
	}

	return &machine.EtcdMemberListResponse{Messages: []*machine.EtcdMembers{answer}}, nil
}

func (a *API) EtcdStatus(ctx context.Context, _ *emptypb.Empty) (*machine.EtcdStatusResponse, error) {
	if err := a.controlPlane("etcd status"); err != nil {
		return nil, err
	}

	answer := &machine.EtcdStatus{}

	err := a.boot.etcd.with(ctx, etcdPatience, func(ctx context.Context, client *clientv3.Client) error {
		found, err := client.Status(ctx, a.boot.url(2379))
		if err != nil {
			return err
		}

		answer.MemberStatus = &machine.EtcdMemberStatus{
			MemberId: found.Header.MemberId, ProtocolVersion: found.Version, DbSize: found.DbSize,
			DbSizeInUse: found.DbSizeInUse, Leader: found.Leader, RaftIndex: found.RaftIndex, RaftTerm: found.RaftTerm,
			RaftAppliedIndex: found.RaftAppliedIndex, Errors: found.Errors, IsLearner: found.IsLearner,
		}

		return nil
	})
	if err != nil {
		return nil, err
	}

	return &machine.EtcdStatusResponse{Messages: []*machine.EtcdStatus{answer}}, nil
}

func (a *API) EtcdRemoveMemberByID(ctx context.Context, in *machine.EtcdRemoveMemberByIDRequest) (*machine.EtcdRemoveMemberByIDResponse, error) {
	if err := a.controlPlane("etcd remove member"); err != nil {
		return nil, err
	}

	err := a.boot.etcd.with(ctx, etcdPatience, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.MemberRemove(ctx, in.MemberId)

		return err
	})
	if errors.Is(err, rpctypes.ErrMemberNotFound) {
		return nil, status.Error(codes.NotFound, err.Error())
	} else if err != nil {
		return nil, fmt.Errorf("failed to remove member: failed to remove member %d: %w", in.MemberId, err)
	}

	return &machine.EtcdRemoveMemberByIDResponse{Messages: []*machine.EtcdRemoveMemberByID{{}}}, nil
}

func (a *API) EtcdLeaveCluster(ctx context.Context, _ *machine.EtcdLeaveClusterRequest) (*machine.EtcdLeaveClusterResponse, error) {
	if err := a.controlPlane("etcd leave"); err != nil {
		return nil, err
	}

	if err := a.boot.etcd.leave(ctx); err != nil {
		return nil, fmt.Errorf("failed to leave cluster: %w", err)
	}

	return &machine.EtcdLeaveClusterResponse{Messages: []*machine.EtcdLeaveCluster{{}}}, nil
}

func (a *API) EtcdForfeitLeadership(ctx context.Context, _ *machine.EtcdForfeitLeadershipRequest) (*machine.EtcdForfeitLeadershipResponse, error) {
	if err := a.controlPlane("etcd forfeit leadership"); err != nil {
		return nil, err
	}

	answer := &machine.EtcdForfeitLeadership{}

	err := a.boot.etcd.with(ctx, etcdPatience, func(ctx context.Context, client *clientv3.Client) error {
		found, err := client.Status(ctx, a.boot.url(2379))
		if err != nil {
			return err
		}

		list, err := client.MemberList(ctx)
		if err != nil {
			return err
		}

		if len(list.Members) == 1 {
			return errors.New("cannot forfeit leadership, only one member")
		}

		for _, member := range list.Members {
			if found.Leader == found.Header.MemberId && member.ID != found.Leader && !member.IsLearner {
				answer.Member = member.Name
				_, err = client.MoveLeader(ctx, member.ID)

				return err
			}
		}

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("failed to forfeit leadership: %w", err)
	}

	return &machine.EtcdForfeitLeadershipResponse{Messages: []*machine.EtcdForfeitLeadership{answer}}, nil
}

func (a *API) EtcdSnapshot(_ *machine.EtcdSnapshotRequest, stream machine.MachineService_EtcdSnapshotServer) error {
	if err := a.controlPlane("etcd snapshot"); err != nil {
		return err
	}

	return a.boot.etcd.with(stream.Context(), 5*time.Minute, func(ctx context.Context, client *clientv3.Client) error {
		snapshot, err := client.Snapshot(ctx)
		if err != nil {
			return err
		}
		defer snapshot.Close()

		piece := make([]byte, 64<<10)

		for {
			count, err := snapshot.Read(piece)
			if count > 0 {
				if err := stream.Send(&common.Data{Bytes: append([]byte{}, piece[:count]...)}); err != nil {
					return err
				}
			}

			if err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	})
}

// EtcdRecover takes the snapshot that a bootstrap is to begin from.
func (a *API) EtcdRecover(stream machine.MachineService_EtcdRecoverServer) error {
	if err := a.controlPlane("etcd recover"); err != nil {
		return err
	}

	place := a.boot.disk.snapshot()

	file, err := os.OpenFile(place+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("error creating etcd recovery snapshot: %w", err)
	}
	defer file.Close()

	for {
		piece, err := stream.Recv()
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}

		if _, err := file.Write(piece.Bytes); err != nil {
			return fmt.Errorf("error writing snapshot: %w", err)
		}
	}

	if err := os.Rename(place+".new", place); err != nil {
		return err
	}

	return stream.SendAndClose(&machine.EtcdRecoverResponse{Messages: []*machine.EtcdRecover{{}}})
}

// leave removes this node's member from the cluster, and its data. etcd refuses what would cost the quorum; the only
// member cannot leave.
func (e *Etcd) leave(ctx context.Context) error {
	var id uint64

	for {
		err := e.with(ctx, etcdPatience, func(ctx context.Context, client *clientv3.Client) error {
			found, err := client.Status(ctx, e.boot.url(2379))
			if err != nil {
				return err
			}

			id = found.Header.MemberId
			_, err = client.MemberRemove(ctx, id)

			return err
		})

		switch {
		case err == nil, errors.Is(err, rpctypes.ErrMemberNotFound):
			e.stop()

			return os.RemoveAll(e.boot.disk.etcd())
		case errors.Is(err, rpctypes.ErrUnhealthy), errors.Is(err, rpctypes.ErrStopped):
			if every(ctx, time.Second) {
				continue
			}
		}

		return fmt.Errorf("failed to remove member %d: %w", id, err)
	}
}

// validateForUpgrade refuses what would leave the cluster without a quorum while this node is away.
func (e *Etcd) validateForUpgrade(ctx context.Context) error {
	return e.with(ctx, etcdPatience, func(ctx context.Context, client *clientv3.Client) error {
		list, err := client.MemberList(ctx)
		if err != nil {
			return err
		}

		if len(list.Members) == 2 {
			return fmt.Errorf("etcd member count(%d) is insufficient to maintain quorum if upgrade commences", len(list.Members))
		}

		for _, member := range list.Members {
			if member.Name == "" {
				return fmt.Errorf("etcd member %016x is not started, all members must be running to perform an upgrade", member.ID)
			}

			peer, err := e.client(member.ClientURLs)
			if err != nil {
				return err
			}

			limited, cancel := context.WithTimeout(ctx, 3*time.Second)
			_, err = peer.Get(limited, "health")

			cancel()
			peer.Close()

			if err != nil {
				return fmt.Errorf("etcd member %016x is not healthy; all members must be healthy to perform an upgrade: %w", member.ID, err)
			}
		}

		return nil
	})
}
