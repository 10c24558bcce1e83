"""What is told of a difference, and what of it decides."""

import pytest

from fleet.talos import difference

HEAD = "Dry run summary:\nApplied configuration without a reboot (skipped in dry-run).\nConfig diff:\n\n"
DIFF = (
    HEAD
    + """--- a
+++ b
@@ -1,9 +1,9 @@
 machine:
     token: 0cjlz6.s1eg11io7xvfi68g
-    type: worker
+    type: controlplane
     kubelet:
-        image: ghcr.io/siderolabs/kubelet:v1.34.3
+        image: ghcr.io/siderolabs/kubelet:v1.34.4
     sysctls:
-        vm.max_map_count: "1"
+        vm.max_map_count: 26214
     registries:
-            password: hunter2
+            password: hunter3
     files:
+        - content: |
+            aws_secret=abc
+          enabled: true
-hostname: talos-prod-cp02
+hostname: talos-prod-cp01
"""
)


def test_values_that_may_be_secrets_are_not_told():
    told = difference.lines(DIFF)
    assert told == [
        "-    type: …", "+    type: …",
        "-        image: ghcr.io/siderolabs/kubelet:v1.34.3", "+        image: ghcr.io/siderolabs/kubelet:v1.34.4",
        "-        vm.max_map_count: …", "+        vm.max_map_count: 26214",
        "-            password: …", "+            password: …",
        "+        - content: …", "+ …", "+          enabled: true",
        "-hostname: …", "+hostname: …",
    ]  # fmt: skip


def test_a_long_difference_is_cut():
    told = difference.lines("\n".join(f"+ key{number}: {number}" for number in range(100)))
    assert len(told) == difference.MOST + 1
    assert told[-1] == "and 60 lines more"


def test_no_terminal_obeys_it():
    assert difference.lines("+ a\x1b[2J: true") == ["+ …"]


@pytest.mark.parametrize(
    ("said", "unchanged", "restarts", "renamed", "changes_role"),
    [
        (HEAD + "No changes.\n", True, False, "", False),
        (DIFF, False, False, "talos-prod-cp02", True),
        (HEAD.replace("without", "with") + "+ No changes. at all\n", False, True, "", False),
        ("-hostname: a\n+hostname: a\n", False, False, "", False),
    ],
)
def test_what_it_means(said: str, unchanged: bool, restarts: bool, renamed: str, changes_role: bool):
    assert difference.is_unchanged(said) is unchanged
    assert difference.restarts(said) is restarts
    assert difference.renamed(said) == renamed
    assert difference.changes_role(said) is changes_role
