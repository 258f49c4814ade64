"""Tests of pyllb.marshal."""
