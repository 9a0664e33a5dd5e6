// The round trip of ../README.md through the AWS SDK for Go, version 2.
//
// Owns: nothing but the calls. Leaves to others: what is in the bucket (the test looks).
// Always: a step that is printed as `ok` was checked here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	small   = "small, but not empty\n"
	awkward = "dir/a b+c/ünï 日本 %2B.txt"
	copied  = "copies/kopié + 1"
	ranged  = "bytes=5000000-5700000"
)

type trip struct {
	ctx       context.Context
	client    *s3.Client
	bucket    *string
	directory string
}

func main() {
	if len(os.Args) != 4 {
		fail(errors.New("usage: sdk-go fill|read|clear BUCKET DIRECTORY"))
	}
	ctx := context.Background()
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		fail(err)
	}
	client := s3.NewFromConfig(settings, func(o *s3.Options) { o.UsePathStyle = true })
	t := trip{ctx, client, aws.String(os.Args[2]), os.Args[3]}
	phases := map[string]func() error{"fill": t.fill, "read": t.read, "clear": t.clear}
	phase, known := phases[os.Args[1]]
	if !known {
		fail(fmt.Errorf("no phase %q", os.Args[1]))
	}
	if err := phase(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func ok(step string) { fmt.Println("ok " + step) }

// same is an error that names what differs.
func same(what string, got, want any) error {
	if g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); g != w {
		return fmt.Errorf("%s: got %s, want %s", what, g, w)
	}
	return nil
}

// refused is nil if err is an answer with this status.
func refused(err error, status int) error {
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() == status {
		return nil
	}
	return fmt.Errorf("want status %d, got: %v", status, err)
}

func paged() []string {
	var keys []string
	for i := range 12 {
		keys = append(keys, fmt.Sprintf("page/%02d", i))
	}
	return keys
}

func (t trip) put(key, body string, more ...func(*s3.PutObjectInput)) error {
	in := &s3.PutObjectInput{Bucket: t.bucket, Key: &key, Body: strings.NewReader(body)}
	for _, change := range more {
		change(in)
	}
	_, err := t.client.PutObject(t.ctx, in)
	return err
}

func (t trip) get(key, bytes string) (io.ReadCloser, error) {
	in := &s3.GetObjectInput{Bucket: t.bucket, Key: &key}
	if bytes != "" {
		in.Range = &bytes
	}
	out, err := t.client.GetObject(t.ctx, in)
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

func (t trip) fill() error {
	if _, err := t.client.CreateBucket(t.ctx, &s3.CreateBucketInput{Bucket: t.bucket}); err != nil {
		return err
	}
	ok("create-bucket")
	described := func(in *s3.PutObjectInput) {
		in.ContentType = aws.String("text/plain")
		in.Metadata = map[string]string{"origin": "sdk"}
	}
	err := errors.Join(t.put("empty", ""), t.put("small.txt", small, described), t.put(awkward, small))
	for _, key := range paged() {
		err = errors.Join(err, t.put(key, key))
	}
	if err != nil {
		return err
	}
	ok("put")
	file, err := os.Open(filepath.Join(t.directory, "large"))
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = transfermanager.New(t.client).UploadObject(t.ctx, &transfermanager.UploadObjectInput{
		Bucket: t.bucket, Key: aws.String("large.bin"), Body: file,
	})
	if err != nil {
		return err
	}
	ok("put-in-parts")
	_, err = t.client.CopyObject(t.ctx, &s3.CopyObjectInput{
		Bucket: t.bucket, Key: aws.String(copied),
		CopySource: aws.String(url.PathEscape(*t.bucket + "/" + awkward)),
	})
	if err != nil {
		return err
	}
	ok("copy")
	none := t.put("small.txt", "other", func(in *s3.PutObjectInput) {
		in.IfNoneMatch = aws.String("*")
	})
	match := t.put("small.txt", "other", func(in *s3.PutObjectInput) {
		in.IfMatch = aws.String(`"0123"`)
	})
	if err := errors.Join(refused(none, 412), refused(match, 412)); err != nil {
		return err
	}
	ok("conditional-put")
	return nil
}

func (t trip) read() error {
	for _, step := range []func() error{t.list, t.head, t.getAll, t.presign} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (t trip) list() error {
	top, err := t.client.ListObjectsV2(t.ctx, &s3.ListObjectsV2Input{
		Bucket: t.bucket, Delimiter: aws.String("/"),
	})
	if err != nil {
		return err
	}
	var names []string
	for _, prefix := range top.CommonPrefixes {
		names = append(names, *prefix.Prefix)
	}
	for _, object := range top.Contents {
		names = append(names, *object.Key)
	}
	want := []string{"copies/", "dir/", "page/", "empty", "large.bin", "small.txt"}
	if err := same("the top of the bucket", names, want); err != nil {
		return err
	}
	ok("list-by-delimiter")
	pages, seen := 0, []string{}
	all := s3.NewListObjectsV2Paginator(t.client, &s3.ListObjectsV2Input{
		Bucket: t.bucket, Prefix: aws.String("page/"), MaxKeys: aws.Int32(5),
	})
	for ; all.HasMorePages(); pages++ {
		page, err := all.NextPage(t.ctx)
		if err != nil {
			return err
		}
		for _, object := range page.Contents {
			seen = append(seen, *object.Key)
		}
	}
	if pages != 3 || !slices.Equal(seen, paged()) {
		return fmt.Errorf("%d pages: %q", pages, seen)
	}
	ok("list-pages")
	return nil
}

func (t trip) head() error {
	head, err := t.client.HeadObject(t.ctx, &s3.HeadObjectInput{
		Bucket: t.bucket, Key: aws.String("small.txt"),
	})
	if err != nil {
		return err
	}
	got := []any{*head.ContentLength, *head.ContentType, head.Metadata}
	want := []any{int64(len(small)), "text/plain", map[string]string{"origin": "sdk"}}
	if err := same("the head", got, want); err != nil {
		return err
	}
	_, err = t.client.HeadObject(t.ctx, &s3.HeadObjectInput{Bucket: t.bucket, Key: aws.String("none")})
	var missing *types.NotFound
	if !errors.As(err, &missing) {
		return fmt.Errorf("head of a missing key: %v", err)
	}
	ok("head")
	return nil
}

func (t trip) getAll() error {
	for key, want := range map[string]string{"empty": "", awkward: small, copied: small} {
		body, err := t.get(key, "")
		if err != nil {
			return err
		}
		got, err := io.ReadAll(body)
		if err := errors.Join(err, same(key, string(got), want)); err != nil {
			return err
		}
	}
	_, err := t.get("none", "")
	var missing *types.NoSuchKey
	if !errors.As(err, &missing) {
		return fmt.Errorf("get of a missing key: %v", err)
	}
	if err := t.save("back", ""); err != nil {
		return err
	}
	ok("get")
	if err := t.save("range", ranged); err != nil {
		return err
	}
	ok("get-range")
	return nil
}

// save writes the large object, or a range of it, to a file for the test to compare.
func (t trip) save(name, bytes string) error {
	body, err := t.get("large.bin", bytes)
	if err != nil {
		return err
	}
	defer body.Close()
	file, err := os.Create(filepath.Join(t.directory, name))
	if err != nil {
		return err
	}
	_, err = io.Copy(file, body)
	return errors.Join(err, file.Close())
}

func (t trip) presign() error {
	signer := s3.NewPresignClient(t.client, s3.WithPresignExpires(5*time.Minute))
	get, err := signer.PresignGetObject(t.ctx, &s3.GetObjectInput{
		Bucket: t.bucket, Key: aws.String(awkward),
	})
	if err != nil {
		return err
	}
	put, err := signer.PresignPutObject(t.ctx, &s3.PutObjectInput{
		Bucket: t.bucket, Key: aws.String("presigned"),
	})
	if err != nil {
		return err
	}
	if get.Method != http.MethodGet || put.Method != http.MethodPut {
		return fmt.Errorf("presigned for %s and %s", get.Method, put.Method)
	}
	fmt.Println("get " + get.URL)
	fmt.Println("put " + put.URL)
	ok("presign")
	return nil
}

func (t trip) clear() error {
	_, err := t.client.DeleteObject(t.ctx, &s3.DeleteObjectInput{
		Bucket: t.bucket, Key: aws.String(awkward),
	})
	if err != nil {
		return err
	}
	ok("delete")
	all, err := t.client.ListObjectsV2(t.ctx, &s3.ListObjectsV2Input{Bucket: t.bucket})
	if err != nil {
		return err
	}
	var names []types.ObjectIdentifier
	for _, object := range all.Contents {
		names = append(names, types.ObjectIdentifier{Key: object.Key})
	}
	done, err := t.client.DeleteObjects(t.ctx, &s3.DeleteObjectsInput{
		Bucket: t.bucket, Delete: &types.Delete{Objects: names},
	})
	if err != nil {
		return err
	}
	if len(done.Errors) != 0 || len(done.Deleted) != len(names) {
		return fmt.Errorf("deleted %d of %d: %v", len(done.Deleted), len(names), done.Errors)
	}
	ok("delete-many")
	if _, err := t.client.DeleteBucket(t.ctx, &s3.DeleteBucketInput{Bucket: t.bucket}); err != nil {
		return err
	}
	ok("delete-bucket")
	return nil
}
