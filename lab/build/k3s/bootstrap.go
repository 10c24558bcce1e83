package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// What all servers of a cluster share: the authorities, the key of service accounts, the passwords and the key of
// encrypted secrets. A joining server asks a running one for it; in the datastore it lies encrypted with the token.
type bootstrapFile struct {
	Timestamp time.Time
	Content   []byte
}

// Below the server's folder.
var shared = map[string]string{
	"ServerCA": "tls/server-ca.crt", "ServerCAKey": "tls/server-ca.key",
	"ClientCA": "tls/client-ca.crt", "ClientCAKey": "tls/client-ca.key",
	"RequestHeaderCA": "tls/request-header-ca.crt", "RequestHeaderCAKey": "tls/request-header-ca.key",
	"ETCDServerCA": "tls/etcd/server-ca.crt", "ETCDServerCAKey": "tls/etcd/server-ca.key",
	"ETCDPeerCA": "tls/etcd/peer-ca.crt", "ETCDPeerCAKey": "tls/etcd/peer-ca.key",
	"ServiceKey": "tls/service.key", "PasswdFile": "cred/passwd", "EncryptionConfig": "cred/encryption-config.json",
}

func readBootstrap(server string) ([]byte, error) {
	files := map[string]bootstrapFile{}
	for name, path := range shared {
		path = filepath.Join(server, path)
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		information, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		files[name] = bootstrapFile{information.ModTime(), data}
	}
	return json.Marshal(files)
}

func writeBootstrap(server string, data []byte) error {
	files := map[string]bootstrapFile{}
	if err := json.Unmarshal(data, &files); err != nil {
		return err
	}
	for name, file := range files {
		path, known := shared[name]
		if !known {
			continue
		}
		if err := replace(filepath.Join(server, path), file.Content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// bootstrapKey is where the data lies in the datastore, by a hash of the token's password.
func bootstrapKey(password string) string { return "/bootstrap/" + digest([]byte(password))[:12] }

var errOtherToken = errors.New("bootstrap data already found and encrypted with different token")

// storedBootstrap reads what the datastore has; nil when there is nothing yet.
func storedBootstrap(ctx context.Context, client *clientv3.Client, password string) ([]byte, error) {
	answer, err := client.Get(ctx, "/bootstrap/", clientv3.WithPrefix())
	if err != nil || len(answer.Kvs) == 0 {
		return nil, err
	}
	for _, one := range answer.Kvs {
		if string(one.Key) == bootstrapKey(password) {
			return decrypt(password, string(one.Value))
		}
	}
	return nil, errOtherToken
}

// storeBootstrap writes it where there is none.
func storeBootstrap(ctx context.Context, client *clientv3.Client, password, server string) error {
	stored, err := storedBootstrap(ctx, client, password)
	if err != nil || stored != nil {
		return err
	}
	data, err := readBootstrap(server)
	if err != nil {
		return err
	}
	encrypted, err := encrypt(password, data)
	if err != nil {
		return err
	}
	_, err = client.Put(ctx, bootstrapKey(password), encrypted)
	return err
}

func sealed(password, salt string) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha1.New, password, []byte(salt), 4096, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func encrypt(password string, data []byte) (string, error) {
	salt := random(8)
	seal, err := sealed(password, salt)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, seal.NonceSize())
	_, _ = rand.Read(nonce)
	return salt + ":" + base64.StdEncoding.EncodeToString(seal.Seal(nonce, nonce, data, nil)), nil
}

func decrypt(password, text string) ([]byte, error) {
	salt, coded, _ := strings.Cut(text, ":")
	seal, err := sealed(password, salt)
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(coded)
	if err != nil || len(data) < seal.NonceSize() {
		return nil, errors.New("bootstrap data is damaged")
	}
	return seal.Open(nil, data[:seal.NonceSize()], data[seal.NonceSize():], nil)
}
