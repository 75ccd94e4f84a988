"""Events: conversion of kernel messages, the event bus, and server-sent events."""
