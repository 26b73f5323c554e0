"""The tree is that of RFC 9162: the reference vectors of Certificate Transparency, and the RFC's recursion."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eldex.evidence.hashes import HashesTooShort, HashFile
from eldex.evidence.tree import (
    EMPTY_ROOT,
    CompactRange,
    InvalidProof,
    consistency_proof,
    inclusion_proof,
    leaf_before,
    leaf_hash,
    node_hash,
    peaks_at,
    root_at,
    stored_hash_count,
    stored_hash_index,
    verify_consistency,
    verify_inclusion,
)

# The leaves and roots with which every implementation of RFC 6962 is checked, from the tests of
# certificate-transparency and of transparency-dev/merkle.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
N01 = bytes.fromhex("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7")
N11 = bytes.fromhex("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e")
N21 = bytes.fromhex("6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4")
N04 = bytes.fromhex("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b")
N12 = bytes.fromhex("0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a")
N20 = bytes.fromhex("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7")


# The definitions of RFC 9162 §2.1.1, §2.1.3.1 and §2.1.4.1, as they are written there.


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(d: Sequence[bytes]) -> bytes:
    if not d:
        return hashlib.sha256(b"").digest()
    if len(d) == 1:
        return leaf_hash(d[0])
    k = split(len(d))
    return node_hash(mth(d[:k]), mth(d[k:]))


def path(m: int, d: Sequence[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = split(len(d))
    if m < k:
        return [*path(m, d[:k]), mth(d[k:])]
    return [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: Sequence[bytes], *, is_whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if is_whole else [mth(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], is_whole=is_whole), mth(d[k:])]
    return [*subproof(m - k, d[k:], is_whole=False), mth(d[:k])]


class Stored:
    """A tree with all its nodes in memory; counts how often it is asked."""

    def __init__(self, data: Sequence[bytes]) -> None:
        self.range = CompactRange()
        self.nodes = self.range.extend(map(leaf_hash, data))
        self.reads = 0

    def node(self, level: int, n: int) -> bytes:
        self.reads += 1
        return self.nodes[stored_hash_index(level, n)]


data_of_trees = st.lists(st.binary(max_size=4), min_size=1, max_size=70)


def test_the_roots_of_the_reference_leaves() -> None:
    tree = CompactRange()
    for size, root in enumerate(ROOTS):
        assert tree.root() == root == mth(LEAVES[:size])
        if size < len(LEAVES):
            tree.append(leaf_hash(LEAVES[size]))
    assert ROOTS[0] == EMPTY_ROOT


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [
        (0, 1, []),
        (0, 8, [N01, N11, N21]),
        (5, 8, [N04, bytes.fromhex("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"), N20]),
        (2, 3, [ROOTS[2]]),
        (1, 5, [ROOTS[1], N11, N04]),
    ],
)  # fmt: skip
def test_the_reference_inclusion_proofs(index: int, size: int, proof: list[bytes]) -> None:
    assert inclusion_proof(index, size, Stored(LEAVES).node) == proof
    verify_inclusion(index, size, leaf_hash(LEAVES[index]), proof, ROOTS[size])


@pytest.mark.parametrize(
    ("old", "new", "proof"),
    [
        (1, 1, []),
        (1, 8, [N01, N11, N21]),
        (6, 8, [N12, bytes.fromhex("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"), N20]),
        (2, 5, [N11, N04]),
        (6, 7, [N12, bytes.fromhex("b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"), N20]),
    ],
)  # fmt: skip
def test_the_reference_consistency_proofs(old: int, new: int, proof: list[bytes]) -> None:
    assert consistency_proof(old, new, Stored(LEAVES).node) == proof
    verify_consistency(old, new, ROOTS[old], ROOTS[new], proof)


@settings(deadline=None)
@given(data_of_trees, st.data())
def test_proofs_are_those_of_the_definition_and_verify(
    data: list[bytes], draw: st.DataObject
) -> None:
    stored = Stored(data)
    size = draw.draw(st.integers(1, len(data)))
    index = draw.draw(st.integers(0, size - 1))
    old = draw.draw(st.integers(0, size))
    root = root_at(size, stored.node)
    assert root == mth(data[:size])
    assert CompactRange(size, peaks_at(size, stored.node)).root() == root

    proof = inclusion_proof(index, size, stored.node)
    assert proof == path(index, data[:size])
    verify_inclusion(index, size, leaf_hash(data[index]), proof, root)

    proof = consistency_proof(old, size, stored.node)
    assert proof == (subproof(old, data[:size], is_whole=True) if old else [])
    verify_consistency(old, size, mth(data[:old]), root, proof)


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=4), min_size=2, max_size=40, unique=True), st.data())
def test_a_proof_that_is_changed_anyhow_is_refused(data: list[bytes], draw: st.DataObject) -> None:
    stored = Stored(data)
    size = draw.draw(st.integers(2, len(data)))
    index, old = draw.draw(st.integers(0, size - 1)), draw.draw(st.integers(1, size - 1))
    included = inclusion_proof(index, size, stored.node)
    consistent = consistency_proof(old, size, stored.node)
    leaf, root, old_root = leaf_hash(data[index]), mth(data[:size]), mth(data[:old])
    other = draw.draw(st.binary(min_size=32, max_size=32))

    def changed(proof: list[bytes]) -> list[bytes]:
        kind = draw.draw(st.sampled_from(["flip", "drop", "insert", "append", "prepend", "cut"]))
        place = draw.draw(st.integers(0, len(proof) - 1))
        match kind:
            case "flip":
                flipped = bytes([proof[place][0] ^ 1]) + proof[place][1:]
                return [*proof[:place], flipped, *proof[place + 1 :]]
            case "drop":
                return [*proof[:place], *proof[place + 1 :]]
            case "insert":
                return [*proof[:place], other, *proof[place:]]
            case "append":
                return [*proof, draw.draw(st.sampled_from([other, root, leaf]))]
            case "prepend":
                return [draw.draw(st.sampled_from([other, root, leaf])), *proof]
        return [*proof[:place], proof[place][:-1], *proof[place + 1 :]]

    with pytest.raises(InvalidProof):
        verify_inclusion(index, size, leaf, changed(included), root)
    with pytest.raises(InvalidProof):
        verify_consistency(old, size, old_root, root, changed(consistent))
    wrong = draw.draw(st.integers(-2, size + 2).filter(lambda n: n != index))
    with pytest.raises(InvalidProof):
        verify_inclusion(wrong, size, leaf, included, root)
    for bad_old_root, bad_root in ((other, root), (old_root, other)):
        with pytest.raises(InvalidProof):
            verify_consistency(old, size, bad_old_root, bad_root, consistent)


@pytest.mark.parametrize(
    ("old", "new", "old_root", "new_root", "proof"),
    [
        (2, 1, ROOTS[2], ROOTS[1], []),
        (1, 1, ROOTS[1], ROOTS[2], []),
        (1, 1, ROOTS[1], ROOTS[1], [N01]),
        (0, 1, ROOTS[0], ROOTS[1], [N01]),
        (0, 1, ROOTS[1], ROOTS[1], []),
        (0, 0, ROOTS[1], ROOTS[1], []),
        (0, 0, ROOTS[0], ROOTS[1], []),
        (1, 2, ROOTS[1], ROOTS[2], []),
        (-1, 2, ROOTS[1], ROOTS[2], []),
    ],
)
def test_what_is_no_prefix_is_refused(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]
) -> None:
    with pytest.raises(InvalidProof):
        verify_consistency(old, new, old_root, new_root, proof)


def test_the_empty_tree_is_a_prefix_of_every_tree() -> None:
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    verify_consistency(0, 3, EMPTY_ROOT, ROOTS[3], [])


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=30))
def test_a_tree_grown_in_any_batches_is_the_same(batches: list[int]) -> None:
    grown, one_by_one, nodes = CompactRange(), CompactRange(), []
    leaves = [leaf_hash(b"%d" % n) for n in range(sum(batches))]
    done = 0
    for count in batches:
        nodes += grown.extend(leaves[done : done + count])
        done += count
    for leaf in leaves:
        one_by_one.append(leaf)
    assert (grown.size, grown.peaks) == (one_by_one.size, one_by_one.peaks)
    assert len(nodes) == stored_hash_count(len(leaves))


def test_complete_subtrees_can_be_appended_and_only_where_they_may_begin() -> None:
    tree, leaves = CompactRange(), [leaf_hash(data) for data in LEAVES]
    left = CompactRange()
    left.extend(leaves[:4])
    tree.append_subtree(2, left.root())
    tree.append(leaves[4])
    assert tree.root() == ROOTS[5]
    with pytest.raises(ValueError, match="no subtree"):
        tree.append_subtree(1, N12)
    with pytest.raises(ValueError, match="complete subtrees"):
        CompactRange(3, [N01])


def test_nodes_are_stored_without_gaps_as_they_become_complete() -> None:
    # Level by level as in the paper: 0 1 | 0,1 → leaf 0, leaf 1, their parent, leaf 2, …
    order = [(0, 0), (0, 1), (1, 0), (0, 2), (0, 3), (1, 1), (2, 0), (0, 4)]
    assert [stored_hash_index(level, n) for level, n in order] == list(range(8))
    for place, leaf in enumerate([0, 1, 1, 2, 3, 3, 3, 4]):
        assert leaf_before(place) == leaf


@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_a_proof_costs_few_reads_from_the_file(size: int, draw: st.DataObject) -> None:
    stored = Stored([b"%d" % n for n in range(size)])
    index = draw.draw(st.integers(0, size - 1))
    inclusion_proof(index, size, stored.node)
    assert stored.reads <= 2 * size.bit_length()


def test_the_file_of_hashes_gives_what_was_written(tmp_path: Path) -> None:
    tree, file = CompactRange(), HashFile(tmp_path / "hashes", writable=True)
    leaves = [leaf_hash(b"%d" % n) for n in range(100)]
    for start in range(0, 100, 7):
        file.write(start, tree.extend(leaves[start : start + 7]))
    assert file.count == stored_hash_count(100)
    assert root_at(100, file.node) == tree.root()
    assert file.leaves(13, 40) == leaves[13:53]
    assert file.leaves(90, 40) == leaves[90:]
    assert file.leaves(90, 0) == []
    file.cut(10)
    with pytest.raises(HashesTooShort):
        file.node(0, 10)
    assert file.node(1, 4) == node_hash(leaves[8], leaves[9])
    file.sync()
    file.close()
